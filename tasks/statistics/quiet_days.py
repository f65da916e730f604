"""Days that are unusual in the way of earlier days, such as holidays. Pure."""

from collections.abc import Iterator

import numpy as np

from everfit.tasks.statistics.rhythm import DAY, Floats, Rhythm, bounds

_LAST_YEAR = range(363, 368)
"""The same date a year before, in days; a holiday may move by a day or two."""
_ALIKE = 0.005
"""Probability of a tail beyond which a day is not like another."""
_PART = 3
"""Hours of the parts by which two days are compared."""
_ROOM = 0.02
"""Variance that two days of one kind may differ by, as a share of the squared mean; and the least share of a usual
day's rows that a quiet day may have."""


def is_known_kind(rhythm: Rhythm, day: int) -> bool:
    """Return whether an unusual day is like earlier unusual days, part by part.

    One such day of last year's date is enough; of other dates there must be two, because one may have been an outage.
    Half a Monday is not like a holiday: its morning is a usual one.

    Args:
        rhythm: The weeks, the last of which has the day.
        day: The day's position in the week.
    """
    today = (len(rhythm.weeks) - 1) * 7 + day
    alike = 0
    for earlier in _unusual_days(rhythm):
        if _are_alike(rhythm, today, earlier):
            if today - earlier in _LAST_YEAR:
                return True
            alike += 1
    return alike >= 2


def _unusual_days(rhythm: Rhythm) -> Iterator[int]:
    of_days = rhythm.of_lengths[DAY]
    rows, mean, dispersion = of_days[0][:-1].ravel(), of_days[1][:-1].ravel(), of_days[2]
    expected = bounds(mean, dispersion, _ALIKE)
    with np.errstate(invalid="ignore"):
        yield from np.flatnonzero((rows < expected.low) | (rows > expected.high)).tolist()


def _are_alike(rhythm: Rhythm, today: int, earlier: int) -> bool:
    for hours in (_PART, DAY // 2, DAY):
        rows, mean, dispersion = rhythm.of_lengths[hours]
        per_day = DAY // hours
        here, there = slice(today * per_day, (today + 1) * per_day), slice(earlier * per_day, (earlier + 1) * per_day)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = rows.ravel()[there] / mean.ravel()[there]
        usual, now = mean.ravel()[here], rows.ravel()[here]
        known = ~np.isnan(now) & ~np.isnan(usual) & np.isfinite(ratio)
        like, spread = usual[known] * ratio[known], 4 * dispersion + _ROOM
        high = bounds(np.maximum(like, usual[known] * _ROOM), spread, _ALIKE).high
        if _outside(now[known], bounds(like, spread, _ALIKE).low, high):
            return False
    return True


def _outside(rows: Floats, low: Floats, high: Floats) -> bool:
    return bool(((rows < low) | (rows > high)).any())
