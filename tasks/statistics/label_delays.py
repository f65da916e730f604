"""How long labels take to become known, where some are not known yet (Kaplan-Meier). Pure.

A row without a label is censored: its label takes longer than the time since its event. Leaving such rows out makes
delays look short, because only quick labels of the newest rows are known. Where the data is too short to show the
quantile, the tail is fitted to the rows whose labels take longest.
"""

import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from everfit.tasks.core.records import Record

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

QUANTILE = 0.99
"""The share of the labels that are known after the maturity."""
FEWEST = 50
"""Fewer labels say nothing about their delay."""
_MOST = 10_000
"""Rows of which the delay is estimated."""
_CHANGED = 0.001
"""Error of the test whether delays of the newer rows are others."""
_NEWEST = tuple(part / 20 for part in range(3, 16))
"""Shares of the rows, the newest, whose delays are compared with those of the others."""
_AT_RISK = 20
"""This many rows must have been followed for a time that counts."""
_LEAST_LEFT = 5
_FADED = 0.2
"""Labels are complete if their rate has fallen to this share in the second half of the time."""
_TAIL = 300
"""This many of the latest labels are enough to fit the tail to."""
_DRAWS = 20
_SECONDS_OF_DAY = 86_400.0


class LabelDelays(Record):
    """After which time labels are known.

    Durations are in days.
    """

    rows: int = Field(description="Rows of which the delay was estimated.")
    labelled: int = Field(description="Rows whose label is known.")
    days: float = Field(description="After this time 99 % of the labels that come are known.")
    lower: float = Field(description="Lower end of the 95 % interval of `days`.")
    upper: float = Field(description="Upper end of it.")
    half: float | None = Field(default=None, description="After this time half of the labels that come are known.")
    most: float | None = Field(default=None, description="After this time 90 % of them are known.")
    coverage: float = Field(description="Share of the rows that get a label by then.")
    followed: float = Field(default=0.0, description="How long rows were followed, with a label or without.")
    late: float | None = Field(default=None, description="Share of the known labels that came after the maturity.")
    beyond: bool = Field(default=False, description="Whether the data is shorter than `days`, which is fitted then.")
    changed: bool = Field(default=False, description="Whether newer rows have other delays; only these count then.")

    @property
    def maturity(self) -> timedelta:
        """The delay in whole days, at least one."""
        return timedelta(days=max(1, int(np.ceil(self.days - 1e-9))))


def label_delays(
    events: "pd.Series[pd.Timestamp]",
    known: "pd.Series[pd.Timestamp]",
    now: "pd.Timestamp",
    *,
    followed: timedelta | None = None,
    maturity: timedelta | None = None,
) -> LabelDelays | None:
    """Estimate after which time labels are known.

    Args:
        events: Times of the events; shape (rows,).
        known: Times at which the labels became known, missing if a label is not known; shape (rows,).
        now: The moment of the observation: later labels are not known.
        followed: How long after their event rows were followed at most, if their labels were not read later.
        maturity: The time after the event at which labels should be known, to compare with.

    Returns:
        The estimate; None with too few labels.
    """
    age = np.asarray((now - events).dt.total_seconds().to_numpy() / _SECONDS_OF_DAY, dtype=np.float64)
    delay = np.asarray((known - events).dt.total_seconds().to_numpy() / _SECONDS_OF_DAY, dtype=np.float64)
    seen = (known <= now).to_numpy(dtype=np.bool_) & (delay >= 0)
    usable = (age >= 0) & ~(delay < 0)
    times, seen, age = np.where(seen, delay, age)[usable], seen[usable], age[usable]
    if followed is not None:
        longest = followed.total_seconds() / _SECONDS_OF_DAY
        times, seen, age = np.minimum(times, longest), seen & (times <= longest), np.minimum(age, longest)
    if len(times) > _MOST:
        chosen = np.random.default_rng(0).choice(len(times), _MOST, replace=False)
        times, seen, age = times[chosen], seen[chosen], age[chosen]
    if seen.sum() < FEWEST:
        return None
    newer = _newer(times, seen, age)
    changed = newer is not None
    if newer is not None:
        times, seen, age = times[newer], seen[newer], age[newer]
    late = None if maturity is None else _late_share(times, seen, maturity.total_seconds() / _SECONDS_OF_DAY)
    reached = float(np.sort(age)[-min(_AT_RISK, len(age))])
    return _estimate(times, seen, changed=changed).model_copy(update={"late": late, "followed": reached})


def _late_share(times: Floats, seen: npt.NDArray[np.bool_], maturity: float) -> float:
    """Return the share of the labels that come while rows are followed which is known after the maturity."""
    from scipy.stats import ecdf

    survival = ecdf(_censored(times, seen)).sf
    end, by_then = float(survival.probabilities.min()), float(survival.evaluate(maturity))
    return max(0.0, (by_then - end) / (1 - end))


def _newer(times: Floats, seen: npt.NDArray[np.bool_], age: Floats) -> npt.NDArray[np.bool_] | None:
    """Return which rows are newer than the clearest change of the delays; None if they never surely changed."""
    from scipy.stats import logrank

    if len(np.unique(times[seen])) < 2:
        return None  # all delays are one
    clearest, found, before = 0.0, None, None
    for share in _NEWEST:
        newer = age <= np.quantile(age, share)
        if min(seen[newer].sum(), seen[~newer].sum()) < FEWEST:
            continue
        # Both are compared over the same follow-up, so that a later part of the older rows' delays counts for neither.
        follow_up = float(age[newer].max())
        parts = [
            _censored(np.minimum(times[part], follow_up), seen[part] & (times[part] <= follow_up))
            for part in (newer, ~newer)
        ]
        test = logrank(*parts)
        certain = test.pvalue < _CHANGED / len(_NEWEST)
        if certain and abs(test.statistic) > clearest:
            # Some older rows near the change would spoil the tail, so the next newer part is taken.
            clearest, found = abs(test.statistic), newer if before is None else before
        before = newer if certain else None
    return found


def _censored(times: Floats, seen: npt.NDArray[np.bool_]) -> Any:
    from scipy.stats import CensoredData

    return CensoredData(uncensored=times[seen], right=times[~seen])


def _estimate(times: Floats, seen: npt.NDArray[np.bool_], *, changed: bool) -> LabelDelays:
    from scipy.stats import ecdf

    # Beyond the time that few rows have been followed for, each label would count for much. Of few rows that all have
    # their label, fewer are left at the quantile.
    left = min(_AT_RISK, max(_LEAST_LEFT, int(len(times) * (1 - QUANTILE) / 2)))
    followed = float(np.sort(times)[-min(left, len(times))])
    times, seen = np.minimum(times, followed), seen & (times <= followed)
    found = ecdf(_censored(times, seen)).sf
    at, survival, last = found.quantiles, found.probabilities, float(times[seen].max())
    complete = _is_complete(times, seen, at, survival, followed)
    facts = {"rows": len(times), "labelled": int(seen.sum()), "changed": changed}
    if complete or survival.min() <= 1 - QUANTILE:
        # Labels that have not come by now never will: the quantile is of those that come.
        share = QUANTILE * (1 - float(survival.min()) if complete else 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # before the first label there is no interval
            interval = found.confidence_interval(0.95, method="log-log")
        low, high = (np.nan_to_num(one.probabilities, nan=1.0) for one in (interval.low, interval.high))
        days = _first(at, survival, 1 - share, last)
        lower, upper = _first(at, low, 1 - share, last), _first(at, high, 1 - share, last)
        beyond = False
    else:
        share, days = QUANTILE, _beyond(times, seen, at, survival)
        generator, drawn = np.random.default_rng(0), []
        for _ in range(_DRAWS):
            rows = generator.integers(0, len(times), len(times))
            again = ecdf(_censored(times[rows], seen[rows])).sf
            drawn.append(_beyond(times[rows], seen[rows], again.quantiles, again.probabilities))
        lower, upper = map(float, np.quantile(drawn, [0.025, 0.975]))
        beyond = days > followed
    half, most = (_known_by(at, survival, level * share / QUANTILE) for level in (0.5, 0.9))
    return LabelDelays(
        days=days,
        lower=min(days, lower),
        upper=max(days, upper),
        half=half,
        most=most,
        coverage=share,
        beyond=beyond,
        **facts,
    )


def _known_by(at: Floats, survival: Floats, share: float) -> float | None:
    """Return the time by which a share of the rows has its label; None if rows were not followed for so long."""
    reached = np.flatnonzero(survival <= 1 - share + 1e-12)
    return float(at[reached[0]]) if len(reached) else None


def _is_complete(times: Floats, seen: npt.NDArray[np.bool_], at: Floats, survival: Floats, followed: float) -> bool:
    """Return whether the labels that are missing never come: hardly any has come in the second half of the time."""
    begin, middle = _late_from(at, survival)[0], followed / 2
    if begin >= middle:
        return False
    early, late = (
        (seen & (times > since) & (times <= until)).sum() / np.clip(times - since, 0, until - since).sum()
        for since, until in ((begin, middle), (middle, followed))
    )
    return bool(late < _FADED * early) if early > 0 else not late


def _first(at: Floats, survival: Floats, level: float, last: float) -> float:
    below = np.flatnonzero(survival <= level + 1e-12)
    return float(at[below[0]]) if len(below) else last


def _late_from(at: Floats, survival: Floats) -> tuple[float, float]:
    """Return the time by which most of the labels that are known have come, and the share that is missing then."""
    place = int(np.flatnonzero(survival <= (1 + 2 * survival.min()) / 3)[0])
    return float(at[place]), float(survival[place])


def _beyond(times: Floats, seen: npt.NDArray[np.bool_], at: Floats, survival: Floats) -> float:
    """Return the quantile with an exponential tail after most of the known labels have come."""
    begin, left = _late_from(at, survival)
    known = np.sort(times[seen])
    if (
        len(known) > _TAIL and (later := float(known[-_TAIL])) > begin
    ):  # where delays are mixed, only slow ones are left
        begin, left = later, float(survival[np.searchsorted(at, later, side="right") - 1])
    late = times > begin
    if left <= 1 - QUANTILE or not seen[late].any():
        return float(times[seen].max())
    # The mean of an exponential tail that is most likely where some labels have not come yet. scipy's `expon.fit` looks
    # for it by trial, which takes a hundred times as long.
    scale = float((times[late] - begin).sum() / seen[late].sum())
    return begin + scale * float(np.log(left / (1 - QUANTILE)))
