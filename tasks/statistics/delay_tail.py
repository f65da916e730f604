"""The last labels, where rows were not followed for long enough to see all of them come. Pure.

Some of the labels that are missing are late, and some never come. Both are estimated together: late ones by a
generalised Pareto tail, which has most tails as its limit (from an end that is sharp to one that is heavy), never ones
by a share. Where the rows don't tell one from the other, many pairs are about as likely, and the interval is wide.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_SHAPES = (-1.0, -0.7, -0.4, -0.2, 0.0, 0.2, 0.5)
"""A tail with a sharp end has -1 (uniform), an exponential one 0, and a heavy one more."""
_COARSE, _FINE, _BINS = 24, 48, 60
_NEAR = 8.0
"""Log likelihoods that are further from the best are not looked at closely."""
_LEAST_COMING = 0.004
"""The least share of the missing labels that may come."""
_WORTH = 2.0
"""By how much the log likelihood must grow for labels that never come, and for a tail that is not exponential."""
_WORTH_HEAVY = 4.0
"""The same for a heavy tail, whose last labels nobody has seen."""
_WITHIN = 1.92
"""Log likelihoods that are closer to the best are within the 95 % interval of one figure."""


@dataclass(frozen=True)
class DelayTail:
    """When the last labels come.

    Attributes:
        days: After this time, the share `1 - left` of the labels that come are known.
        lower: Lower end of the 95 % interval of `days`.
        upper: Upper end of it.
        never: The share of all rows whose label never comes.
    """

    days: float
    lower: float
    upper: float
    never: float


@dataclass(frozen=True)
class _Rows:
    """Rows of which the tail is estimated, as the arguments of `fit_tail`."""

    excess: Floats
    seen: Flags
    since: float
    missing: float
    left: float

    def scales(self, shape: float, steps: int) -> Floats:
        """Return scales that may be."""
        came = self.excess[self.seen]
        if shape < 0:  # the end of the tail, -scale / shape, is beyond the last label
            return -shape * float(came.max()) * (1 + np.geomspace(1e-4, 60, steps))
        return np.geomspace(0.25 * float(came.mean()), 4 * float(self.excess.sum()) / len(came), steps)

    def days(self, shape: float, coming: Floats, scales: Floats) -> Floats:
        """Return the wanted time, by the share of the missing labels that come, and by the scale."""
        late = self.missing * coming
        # This share of the labels that come after `since` is left at the wanted time.
        level = np.minimum(1.0, self.left * (1 - self.missing + late) / late)
        return np.asarray(self.since + scales * _quantile(shape, level)[:, None], dtype=np.float64)


@dataclass(frozen=True)
class _Fit:
    """Tails of one shape, by the share of the missing labels that come and by their scale.

    Attributes:
        coming: The shares; shape (shares,).
        likelihood: The log likelihoods; shape (shares, scales).
        days: The wanted times; shape (shares, scales).
        price: The log likelihood that the assumptions of the tails must bring.
    """

    coming: Floats
    likelihood: Floats
    days: Floats
    price: float

    @property
    def best(self) -> tuple[float, float, float]:
        """The greatest log likelihood less the price, its days, and its share of the labels that come."""
        row, column = np.unravel_index(int(np.argmax(self.likelihood)), self.likelihood.shape)
        return float(self.likelihood[row, column]) - self.price, float(self.days[row, column]), float(self.coming[row])


def fit_tail(excess: Floats, seen: Flags, *, since: float, missing: float, left: float) -> DelayTail:
    """Estimate when the last labels come.

    Args:
        excess: For how long each row was followed after `since`, until its label came if it did, in days; shape (n,).
        seen: Whether the label of each row came; shape (n,), at least one of them.
        since: The time after the event from which on the tail is looked at, in days.
        missing: The share of all rows whose label had not come by then.
        left: The share of the labels that come which is not known yet after the wanted time.
    """
    rows = _Rows(excess, seen, since, missing, left)
    fits = [fit for shape in _SHAPES for fit in (_where_all_come(rows, shape), _where_some_never_come(rows, shape))]
    _, days, coming = max(fit.best for fit in fits)
    greatest = max(float(fit.likelihood.max()) for fit in fits)
    likely = np.concatenate([fit.days[fit.likelihood >= greatest - _WITHIN] for fit in fits])
    return DelayTail(days, min(days, float(likely.min())), max(days, float(likely.max())), missing * (1 - coming))


def _where_all_come(rows: _Rows, shape: float) -> _Fit:
    return _fit(rows, shape, np.ones(1), rows.scales(shape, _FINE), _price(shape))


def _where_some_never_come(rows: _Rows, shape: float) -> _Fit:
    coming, scales = np.geomspace(_LEAST_COMING, 1, _COARSE), rows.scales(shape, _COARSE)
    price = _WORTH + _price(shape)
    coarse = _fit(rows, shape, coming, scales, price)
    near = np.argwhere(coarse.likelihood >= coarse.likelihood.max() - _NEAR)
    first, last = np.maximum(near.min(axis=0) - 1, 0), np.minimum(near.max(axis=0) + 1, _COARSE - 1)
    fine_coming, fine_scales = (
        np.geomspace(values[begin], values[end], _FINE)
        for values, begin, end in zip((coming, scales), first, last, strict=True)
    )
    return _fit(rows, shape, fine_coming, fine_scales, price)


def _price(shape: float) -> float:
    return 0.0 if shape == 0 else _WORTH if shape < 0 else _WORTH_HEAVY


def _fit(rows: _Rows, shape: float, coming: Floats, scales: Floats, price: float) -> _Fit:
    likelihood = _log_likelihood(rows.excess, rows.seen, shape, coming, scales)
    return _Fit(coming, likelihood, rows.days(shape, coming, scales), price)


def _quantile(shape: float, level: Floats) -> Floats:
    """Return the time, in scales, after which a share of the labels is still missing."""
    return -np.log(level) if shape == 0 else (level**-shape - 1) / shape


def _log_missing(shape: float, times: Floats) -> Floats:
    """Return the logarithm of the share that is missing at a time, in scales; it is minus infinity after the end."""
    if shape == 0:
        return -times
    inside = 1 + shape * times
    return np.where(inside > 0, -np.log(np.where(inside > 0, inside, 1.0)) / shape, -np.inf)


def _log_likelihood(excess: Floats, seen: Flags, shape: float, coming: Floats, scales: Floats) -> Floats:
    """Return the log likelihood by the share of the missing labels that come and the scale; shape (shares, scales)."""
    came, came_rows = _in_bins(excess[seen])
    waiting, waiting_rows = _in_bins(excess[~seen])
    # The density is the share that is missing to the power of 1 + shape, over the scale.
    rate = (
        (1 + shape) * _log_missing(shape, came[:, None] / scales) if shape > -1 else np.zeros((len(came), len(scales)))
    )
    total = came_rows @ (rate - np.log(scales))
    late = np.exp(_log_missing(shape, waiting[:, None] / scales))
    with np.errstate(divide="ignore"):  # where all labels come, and the tail is over, none can be missing
        missing = np.log((1 - coming)[:, None, None] + coming[:, None, None] * late)
    return np.asarray(
        total + int(seen.sum()) * np.log(coming)[:, None] + np.einsum("n,anb->ab", waiting_rows, missing),
        dtype=np.float64,
    )


def _in_bins(times: Floats) -> tuple[Floats, Floats]:
    """Return the mean times of equally wide bins, and the number of rows in each."""
    if len(times) == 0:
        return np.zeros(0), np.zeros(0)
    place = np.minimum((times / max(float(times.max()), 1e-12) * _BINS).astype(np.int64), _BINS - 1)
    rows = np.bincount(place, minlength=_BINS).astype(np.float64)
    return np.bincount(place, times, minlength=_BINS)[rows > 0] / rows[rows > 0], rows[rows > 0]
