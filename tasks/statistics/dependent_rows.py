"""Compare two models on rows that depend on each other: rows of one day, of neighbouring days, of one customer.

Rows that share a day or a customer say less than as many independent rows. Groups of rows are therefore left out as
wholes (the delete-a-group jackknife), which works for every metric. Neighbouring groups of time may depend on each
other too: their first autocorrelation widens the standard error and lowers the degrees of freedom.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from everfit.blocks.errors import NotEnoughError
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.statistics.metrics import Floats, Metric
from everfit.tasks.statistics.weighted_metrics import LeavesOut, Weighted

Groups = npt.NDArray[np.int64]

MOST_GROUPS = 100
"""Neighbouring groups of time are merged down to this number, which bounds the cost."""
_MANY_ROWS, _FEW_GROUPS = 200_000, 25
"""Of more rows than this, this number of groups, where a metric has to be computed again without each of them."""
_FEWEST_GROUPS = 10
_FEWEST_ENTITIES = 50
"""A column with fewer values names categories, not a sample of entities."""
_LEAST_ROWS_OF_A_GROUP = 5
"""With 10, tests on fewer than 200 rows are wrong in 1 % where 5 % is stated; with 5, in 2 to 3 %."""
_UNITS = {"days": 86_400, "hours": 3_600, "10 minutes": 600, "minutes": 60}
"""The units of time that rows are grouped by, in seconds, the longest first."""
_MOST_AUTOCORRELATION = 0.95
_TREND_BIAS = 3
"""The estimate of an autocorrelation r around a trend is too small by about (3 + 4 r) over the number of groups."""
_LEAST_DIVISOR = 0.4
_CELLS = 4_000_000
_USUAL = 0.95


class GroupedGain(NamedTuple):
    """A gain with its standard error.

    Attributes:
        gain: Difference of the metric; positive when the first model is better.
        standard_error: Of the gain.
        degrees_of_freedom: Of Student's t distribution that the gain over its error follows.
        groups: Number of groups that were left out, one at a time.
        unit: The unit that groups the rows.
    """

    gain: float
    standard_error: float
    degrees_of_freedom: float
    groups: int
    unit: str

    @property
    def reach(self) -> float:
        """How far from the gain its one-sided bound is, at the usual confidence: few groups count as uncertain."""
        return float(t.ppf(_USUAL, self.degrees_of_freedom)) * self.standard_error


def time_groups(times: npt.NDArray[np.int64], most: int = MOST_GROUPS) -> tuple[Groups, str]:
    """Group rows by time: by days where there are enough of them, otherwise by a shorter unit.

    Args:
        times: Event time of each row, in nanoseconds, in order; shape (rows,).
        most: Neighbouring groups are merged down to this number.

    Returns:
        The number of each row's group, from 0 on without gaps and in order of time; and the unit in words.
    """
    unit, groups = "stretches of time", np.arange(times.size, dtype=np.int64)
    for name, seconds in _UNITS.items():
        numbered = np.unique(times // (seconds * 1_000_000_000), return_inverse=True)[1]
        if numbered.max(initial=0) + 1 >= _FEWEST_GROUPS:
            unit, groups = name, np.asarray(numbered, dtype=np.int64)
            break
    most = max(2, min(most, times.size // _LEAST_ROWS_OF_A_GROUP))
    count = int(groups.max(initial=0)) + 1
    if count > most:
        merged = -(-count // most)
        groups, unit = groups // merged, f"{merged} {unit}" if unit != "stretches of time" else unit
    return groups, unit


class Rows(NamedTuple):
    """Rows that two models have scored, in order of time.

    Attributes:
        metric: The metric.
        y: Labels; shape (rows,).
        new: Scores of the model that a positive gain favours; shape (rows,) or (rows, classes).
        old: Scores of the other model; same shape.
        times: Event time of each row, in nanoseconds; shape (rows,).
        entities: Other columns that rows may be grouped by, such as parts of the key; shape (rows,) each. A column with
            few values names categories and is left out.
        whole: Columns whose values are entities for sure, such as the customer; shape (rows,) each.
    """

    metric: Metric
    y: Floats
    new: Floats
    old: Floats
    times: npt.NDArray[np.int64]
    entities: Mapping[str, npt.ArrayLike] = {}
    whole: Mapping[str, npt.ArrayLike] = {}


def grouped_gain(rows: Rows) -> GroupedGain:
    """Return how much better one model is than another, with an error that counts dependent rows once.

    The rows are grouped by time, and by each kind of entity; the widest error counts. Leaving out groups of unequal
    size: F. M. T. A. Busing, E. Meijer and R. van der Leeden, "Delete-m jackknife for unequal m", Statistics and
    Computing 9 (1999). The correction for the autocorrelation of neighbouring groups, with the small-sample bias of its
    estimate: F. H. C. Marriott and J. A. Pope, "Bias in the estimation of autocorrelations", Biometrika 41 (1954); the
    effective number of groups: G. V. Bayley and J. M. Hammersley, "The effective number of independent observations in
    an autocorrelated time series", Supplement to the Journal of the Royal Statistical Society 8 (1946).

    Raises:
        NotEnoughError: There are too few groups, or too few rows of a class, for a standard error.
    """
    pair = _Pair.of(rows)
    by_time, unit = time_groups(rows.times, pair.most_groups)
    estimates = [_jackknife(pair, by_time, unit, in_order=True)]
    for name, values in {**rows.entities, **rows.whole}.items():
        groups = np.asarray(np.unique(np.asarray(values), return_inverse=True)[1], dtype=np.int64)
        count = int(groups.max(initial=0)) + 1
        if (1 if name in rows.whole else _FEWEST_ENTITIES) <= count < rows.y.size:
            # Many entities are gathered at random, which leaves each whole and bounds the cost.
            gathered = np.random.default_rng(0).permutation(count) % min(count, pair.most_groups)
            estimates.append(_jackknife(pair, gathered[groups], name, in_order=False))
    return max(estimates, key=lambda estimate: estimate.reach)


class _Pair(NamedTuple):
    """Two models on the same rows, prepared once for all groupings.

    Attributes:
        metric: The metric.
        rows: Number of rows.
        gain: Of the first model over the second.
        prepared: The metric of each model under many weightings.
    """

    metric: Metric
    rows: int
    gain: float
    prepared: tuple[Weighted, Weighted]

    @classmethod
    def of(cls, rows: Rows) -> "_Pair":
        metric, y = rows.metric, rows.y
        prepared = metric.prepare(y, rows.new), metric.prepare(y, rows.old)
        if metric.own is None:
            whole = np.ones((1, y.size), dtype=np.int64)
            new, old = (float(value(whole)[0]) for value in prepared)
        else:
            new, old = metric.score(y, rows.new), metric.score(y, rows.old)
        return cls(metric, y.size, metric.gain(new, old), prepared)

    @property
    def most_groups(self) -> int:
        """The number of groups that can be left out at a bounded cost."""
        quick = all(isinstance(value, LeavesOut) for value in self.prepared)
        return MOST_GROUPS if quick or self.rows <= _MANY_ROWS else _FEW_GROUPS

    def without_each(self, groups: Groups, count: int) -> Floats:
        """Return the gain without each group; shape (groups,)."""
        first, second = self.prepared
        if isinstance(first, LeavesOut) and isinstance(second, LeavesOut):
            return self._gains(first.without_each(groups, count), second.without_each(groups, count))
        values: list[Floats] = []
        at_once = max(1, _CELLS // self.rows)
        for start in range(0, count, at_once):
            numbers = np.arange(start, min(count, start + at_once))
            weights = (groups[None, :] != numbers[:, None]).astype(np.int64)
            values.append(self._gains(*(np.asarray(value(weights), dtype=np.float64) for value in self.prepared)))
        return np.concatenate(values)

    def _gains(self, new: Floats, old: Floats) -> Floats:
        return new - old if self.metric.greater_is_better else old - new


def _jackknife(pair: _Pair, groups: Groups, unit: str, *, in_order: bool) -> GroupedGain:
    metric, gain, rows = pair.metric, pair.gain, pair.rows
    sizes = np.bincount(groups).astype(np.float64)
    count = sizes.size
    if count < 2:
        raise NotEnoughError(f"{rows} rows of a single group ({unit}) can't show a difference; wait for more rows")
    left_out = pair.without_each(groups, count)
    if not np.isfinite(left_out).all():
        raise NotEnoughError(
            f"without one of {count} groups of rows ({unit}), {metric.name} is not defined; wait for more rows of the "
            "rarest class"
        )
    shares = rows / sizes
    pseudo = shares * gain - (shares - 1) * left_out
    mean = float((pseudo / shares).sum())  # weighted by size
    deviations = (pseudo - mean) / np.sqrt(shares - 1)
    variance, freedom = float((deviations**2).mean()), float(count - 1)
    if in_order and count > 2:
        wider, freedom = _dependence(deviations)
        variance *= wider
    return GroupedGain(gain, float(np.sqrt(variance)), freedom, count, unit)


def _dependence(deviations: Floats) -> tuple[float, float]:
    """Return by how much neighbours' dependence widens the variance of a mean, and the degrees of freedom left.

    A gain that grows or shrinks steadily is not taken for dependence: it is measured around its linear trend.
    """
    count, total = deviations.size, float((deviations**2).sum())
    if total == 0 or count < 4:
        return 1.0, float(count - 1)
    moments = np.arange(count) - (count - 1) / 2
    centred = deviations - deviations.mean()
    residuals = centred - float(moments @ centred) / float(moments @ moments) * moments
    around_trend = float((residuals**2).sum())
    measured = float((residuals[1:] * residuals[:-1]).sum()) / (around_trend or 1.0)
    # Around a trend, the mean of the measured one is that much below the true one (Marriott and Pope).
    unbiased = (measured + _TREND_BIAS / count) / max(1 - (_TREND_BIAS + 1) / count, _LEAST_DIVISOR)
    correlation = min(_MOST_AUTOCORRELATION, max(0.0, unbiased))
    wider = (1 + correlation) / (1 - correlation)
    # The sample variance of dependent values is too small as well.
    small_sample = (count - 1) / (count - wider) if count > wider + 1 else 2.0
    share = around_trend / (count - 2) / (total / count)
    return share * wider * small_sample, max(3.0, count / wider) - 2


def compare_dependent(rows: Rows, confidence: float) -> PairedComparison:
    """Compare two models on rows that depend on each other.

    Args:
        rows: The rows.
        confidence: Confidence of each one-sided bound, in (0.5, 1).

    Raises:
        DataError: The labels or scores are impossible.
        NotEnoughError: There are too few groups, or too few rows of a class, for a standard error.
    """
    y, new = rows.metric.check(rows.y, rows.new)
    old = rows.metric.check(rows.y, rows.old)[1]
    if y.size < 2:
        raise NotEnoughError("a single row can't show a difference; provide at least 2")
    if rows.metric.needs_classes and np.unique(y).size == 1:
        raise NotEnoughError(f"all {y.size} labels are {y[0]:g}; a comparison needs rows of another class too")
    known = {
        "metric": rows.metric.name,
        "rows": y.size,
        "rarest_class_rows": int(np.unique(y, return_counts=True)[1].min()) if rows.metric.needs_classes else None,
        "challenger": rows.metric.score(y, new),
        "champion": rows.metric.score(y, old),
        "confidence": confidence,
    }
    if np.array_equal(new, old):
        none = {"difference": 0.0, "lower": 0.0, "upper": 0.0, "p_value": 1.0, "p_value_worse": 1.0}
        return PairedComparison.model_validate({**known, **none, "method": "identical"})
    gain = grouped_gain(rows._replace(y=y, new=new, old=old))
    distribution = t(gain.degrees_of_freedom)
    reach = float(distribution.ppf(confidence)) * gain.standard_error
    # Gains without any spread over the groups are as sure as they can be.
    ratio = gain.gain / gain.standard_error if gain.standard_error > 0 else math.copysign(math.inf, gain.gain)
    return PairedComparison.model_validate(
        {
            **known,
            "difference": gain.gain,
            "lower": gain.gain - reach,
            "upper": gain.gain + reach,
            "p_value": float(distribution.sf(ratio)),
            "p_value_worse": float(distribution.cdf(ratio)),
            "method": "jackknife",
            "standard_error": gain.standard_error,
            "degrees_of_freedom": gain.degrees_of_freedom,
            "groups": gain.groups,
            "grouped_by": gain.unit,
        }
    )
