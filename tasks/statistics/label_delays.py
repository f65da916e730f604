"""How long labels take to become known, where some are not known yet (Kaplan-Meier). Pure.

A row without a label is censored: its label takes longer than the time since its event. Leaving such rows out makes
delays look short, because only quick labels of the newest rows are known. Where the data is too short to show the
quantile, a tail is fitted to the rows whose labels take longest, together with the share of those that never come.
"""

import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from everfit.tasks.core.records import Record
from everfit.tasks.statistics.delay_tail import DelayTail, fit_tail

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
_FEW = 5
_TAIL = 300
"""This many of the latest labels are enough to fit the tail to."""
_SHARP = 0.01
"""Labels that come within this share of the delay come at one time."""
_LONGER = 1.1
"""Rows must be followed for so much longer than all known labels took for the others to be taken for never."""
_UNSURE = 1.5
"""An interval whose upper end is this many times the lower one does not tell a maturity."""
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
    coverage: float = Field(description="Share of the rows that get a label at all.")
    followed: float = Field(default=0.0, description="How long rows were followed, with a label or without.")
    late: float | None = Field(default=None, description="Share of the known labels that came after the maturity.")
    beyond: bool = Field(default=False, description="Whether the data is shorter than `days`, which is fitted then.")
    changed: bool = Field(default=False, description="Whether newer rows have other delays; only these count then.")
    unsure: bool = Field(default=False, description="Whether the interval is too wide to set a maturity by.")

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
        order = np.lexsort((seen, times, age))  # a table gives its rows in any order
        chosen = order[np.random.default_rng(0).choice(len(times), _MOST, replace=False)]
        times, seen, age = times[chosen], seen[chosen], age[chosen]
    if seen.sum() < FEWEST:
        return None
    newer = _newer(times, seen, age)
    changed = newer is not None
    if newer is not None:
        times, seen, age = times[newer], seen[newer], age[newer]
    late = None if maturity is None else _late_share(times, seen, maturity.total_seconds() / _SECONDS_OF_DAY)
    reached = float(np.sort(age)[-min(_AT_RISK, len(age))])
    return _estimate(times, seen, reached, changed=changed).model_copy(update={"late": late, "followed": reached})


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


def _estimate(times: Floats, seen: npt.NDArray[np.bool_], reached: float, *, changed: bool) -> LabelDelays:
    """Estimate the delay from rows that were followed for as long as many of them can be."""
    from scipy.stats import ecdf

    times, seen = np.minimum(times, reached), seen & (times <= reached)
    found = ecdf(_censored(times, seen)).sf
    at, survival, last = found.quantiles, found.probabilities, float(times[seen].max())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # before the first label there is no interval
        interval = found.confidence_interval(0.95, method="log-log")
    low, high = (np.nan_to_num(one.probabilities, nan=1.0) for one in (interval.low, interval.high))
    if survival.min() == 0 and _shows_the_end(times[seen], survival, last):
        high[survival == 0] = 0.0
    tail = _tail(times, seen, at, survival) if high.min() > 1 - QUANTILE else None
    if survival.min() <= 1 - QUANTILE:
        days, lower, upper = (_first(at, one, 1 - QUANTILE, last) for one in (survival, low, high))
        if tail is not None:
            lower, upper = min(lower, tail.lower), tail.upper
        never, is_open, coverage = 0.0, False, 1 - float(survival.min())
    elif tail is not None:
        days, lower, upper, never, is_open = tail.days, tail.lower, tail.upper, tail.never, False
        coverage = 1 - never
    else:
        never, is_open = float(survival.min()), reached < _LONGER * last
        days = lower = upper = _first(at, survival, never + (1 - QUANTILE) * (1 - never), last)
        coverage = 1 - never
    half, most = (_known_by(at, survival, level * (1 - never)) for level in (0.5, 0.9))
    return LabelDelays(
        rows=len(times),
        labelled=int(seen.sum()),
        days=days,
        lower=min(days, lower),
        upper=max(days, upper),
        half=half,
        most=most,
        coverage=coverage,
        beyond=days > reached,
        changed=changed,
        unsure=is_open or upper > _UNSURE * lower,
    )


def _shows_the_end(delays: Floats, survival: Floats, last: float) -> bool:
    """Return whether no label is missing in the end, and not only because the last row that was left got its own."""
    return bool(
        survival[survival > 0].min(initial=1.0) <= max(1 - QUANTILE, 2 / len(delays)) or (delays == last).sum() >= _FEW
    )


def _tail(times: Floats, seen: npt.NDArray[np.bool_], at: Floats, survival: Floats) -> DelayTail | None:
    """Return the tail of the delays; None if no label has come after those that came at one time."""
    place = int(np.flatnonzero(survival <= (1 + 2 * survival.min()) / 3)[0])
    begin = float(at[place])
    known = np.sort(times[seen])
    if len(known) > _TAIL:  # where delays are mixed, only slow ones are left
        begin = max(begin, float(known[-_TAIL]))
    late = times > begin
    excess, came = times[late] - begin, seen[late]
    if not came.any() or excess[came].max() < _SHARP * known[-1]:
        return None
    missing = float(survival[np.searchsorted(at, begin, side="right") - 1])
    return fit_tail(excess, came, since=begin, missing=missing, left=1 - QUANTILE)


def _known_by(at: Floats, survival: Floats, share: float) -> float | None:
    """Return the time by which a share of the rows has its label; None if rows were not followed for so long."""
    reached = np.flatnonzero(survival <= 1 - share + 1e-12)
    return float(at[reached[0]]) if len(reached) else None


def _first(at: Floats, survival: Floats, level: float, last: float) -> float:
    below = np.flatnonzero(survival <= level + 1e-12)
    return float(at[below[0]]) if len(below) else last
