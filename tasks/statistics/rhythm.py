"""Learn the rhythm of a series of hourly counts: what to expect by hour, weekday and trend, with bounds. Pure.

The method is a one-step-ahead forecast week by week. A week's level is the median of its days, each compared with the
same weekday, so a holiday doesn't move it; the level's trend is the median of slopes (Theil 1950, Sen 1968). A span of
hours is expected to have its usual share of that level: the median of the same span in up to ten weeks before. Bounds
are quantiles of a negative binomial distribution. Its dispersion is learnt for each length of span from the errors of
the same forecast in earlier weeks, by robust quantiles, so trend, dependence of neighbouring hours and estimation are
all part of it. Few weeks add a prior that widens the bounds (Farrington et al. 1996 and Noufaily et al. 2013 watch
counts of infections in a similar way).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DAY, WEEK = 24, 168
"""In hours."""
LENGTHS = (24, 12, 6, 3, 1)
"""The spans that are judged, in hours, each within a day of UTC."""
FEWEST_WEEKS = 3
"""With fewer whole weeks there is no rhythm to learn."""
FULL_WEEKS = 8
"""With fewer whole weeks the bounds are noticeably wider, and the reason says so."""
_WEEKS = 10
"""Weeks that a span's usual share is learnt from."""
_ERROR_WEEKS = 26
"""Weeks whose forecast errors tell the dispersion."""
_TREND_WEEKS = 8
_PRIOR_DISPERSION, _PRIOR_WEEKS = 0.03, 2
"""Until errors are known, a span is taken to vary by 17 %, which weighs as much as this many weeks."""
FALSE_ALARMS = 1 / 500
"""The rate of false alarms of a week, for series that the model describes; half of them by whole days."""
FEWEST_MORE = 20
"""The smallest excess of rows that counts."""
SMALLEST_FALL, SMALLEST_RISE = 0.8, 1.3
"""A span within these multiples of the expected rows is no incident, however certain."""


@dataclass(frozen=True)
class Expected:
    """The expected number of rows of spans, and the bounds."""

    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Rhythm:
    """The rhythm before one week, from the weeks before it.

    Attributes:
        weeks: Rows by hour, shape (weeks, 168), in order; the last one is the week to judge, and NaN is not known.
            A week begins at midnight of UTC.
    """

    weeks: Floats

    @cached_property
    def known(self) -> int:
        """The number of whole weeks to learn from."""
        return int((~np.isnan(self.weeks[:-1])).all(axis=1).sum())

    @cached_property
    def levels(self) -> Floats:
        """The level of each week as a multiple of the usual, shape (weeks,)."""
        days = self.weeks.reshape(len(self.weeks), 7, DAY).sum(axis=2)
        usual = median(days[:-1])
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(usual > 0, days / usual, np.nan)
        ratios[(~np.isnan(ratios)).sum(axis=1) < min(4, int((usual > 0).sum()))] = np.nan
        return median(ratios.T)

    @cached_property
    def predicted_levels(self) -> Floats:
        """The level of each week as predicted from the weeks before it, shape (weeks,)."""
        return np.array(
            [_continued(self.levels[max(0, week - _TREND_WEEKS) : week]) for week in range(len(self.weeks))]
        )

    def sums(self, span: slice) -> Floats:
        """Return the rows of a span of hours in each week, shape (weeks,)."""
        total: Floats = self.weeks[:, span].sum(axis=1)
        return total

    def forecasts(self, sums: Floats) -> Floats:
        """Return the forecast for each week and span from the weeks before it.

        Args:
            sums: Rows of spans by week, shape (weeks, spans).
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.where(self.levels[:, None] > 0, sums / self.levels[:, None], np.nan)
        forecasts = np.full(sums.shape, np.nan)
        for week in range(max(1, len(sums) - 60), len(sums)):
            before = shares[max(0, week - _WEEKS) : week]
            if (~np.isnan(before)).any():
                forecasts[week] = _usual(before) * self.predicted_levels[week]
        return forecasts

    @cached_property
    def of_lengths(self) -> dict[int, tuple[Floats, Floats, float]]:
        """For each length of span: rows and forecasts, both of shape (weeks, spans), and the dispersion."""
        lengths = {}
        for hours in LENGTHS:
            sums = self.weeks.reshape(len(self.weeks), WEEK // hours, hours).sum(axis=2)
            forecasts = self.forecasts(sums)
            lengths[hours] = (sums, forecasts, self.dispersion(sums, forecasts))
        return lengths

    def dispersion(self, sums: Floats, forecasts: Floats) -> float:
        """Return the variance beyond that of a Poisson distribution, as a share of the squared mean."""
        first = max(FEWEST_WEEKS - 1, len(sums) - 1 - _ERROR_WEEKS)
        rows, expected = sums[first:-1], forecasts[first:-1]
        known = ~np.isnan(rows) & ~np.isnan(expected) & (expected >= 1)
        count = int(known.any(axis=1).sum())
        learnt = _learnt_dispersion(rows[known], expected[known]) if count else 0.0
        return (count * learnt + _PRIOR_WEEKS * _PRIOR_DISPERSION) / (count + _PRIOR_WEEKS)

    def expect(self, span: slice) -> Expected:
        """Return the rows to expect of any span of the week to judge."""
        hours = span.stop - span.start
        sums = self.sums(span)[:, None]
        nearest = min(LENGTHS, key=lambda length: abs(length - hours))
        mean = self.forecasts(sums)[-1]
        return bounds(mean, self.of_lengths[nearest][2], _level(hours))

    def unusual(self, hours: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return which spans of a length have too few and too many rows in the week to judge.

        A span is unusual only beyond all but one of the same spans before: one of them may be a holiday or an outage.
        """
        sums, forecasts, dispersion = self.of_lengths[hours]
        rows, mean = sums[-1], forecasts[-1]
        expected = bounds(mean, dispersion, _level(hours))
        with np.errstate(divide="ignore", invalid="ignore"):
            before = sums[-1 - _WEEKS : -1] / self.levels[-1 - _WEEKS : -1, None] * self.predicted_levels[-1]
        least, most = _second(before), -_second(-before)
        known = ~np.isnan(rows) & ~np.isnan(mean)
        with np.errstate(invalid="ignore"):
            few = known & (rows < expected.low) & (rows <= SMALLEST_FALL * mean) & ~(rows >= least)
            many = known & (rows > expected.high) & (rows >= SMALLEST_RISE * mean) & ~(rows <= most)
            many &= rows - mean >= FEWEST_MORE
        return few, many

    def unusual_hours(self, *, few: bool) -> npt.NDArray[np.bool_]:
        """Return the hours of the week to judge that are in an unusual span, shape (168,).

        The shortest unusual spans within a longer one say best where the rows are missing.
        """
        marked = np.zeros(WEEK, dtype=np.bool_)
        for hours in sorted(LENGTHS):
            for position in np.flatnonzero(self.unusual(hours)[0 if few else 1]):
                span = slice(position * hours, (position + 1) * hours)
                if not marked[span].any():
                    marked[span] = True
        return marked


def bounds(mean: Floats, dispersion: float, tail: float) -> Expected:
    """Return quantiles of negative binomial distributions.

    Args:
        mean: Their means.
        dispersion: Variance beyond a Poisson distribution's, as a share of the squared mean.
        tail: Probability below the lower and above the upper bound.
    """
    from scipy.stats import nbinom

    spread = max(dispersion, 1e-6)
    likely = 1 / (1 + spread * np.maximum(mean, 1e-9))
    low, high = (nbinom.ppf(share, 1 / spread, likely) for share in (tail, 1 - tail))
    return Expected(mean, np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64))


def _level(hours: int) -> float:
    """Return the probability of one tail of a span, so that a week of all lengths keeps to `FALSE_ALARMS`."""
    share = 1 / 2 if hours >= DAY else 1 / 2 / (len(LENGTHS) - 1)
    return FALSE_ALARMS * share / 2 / (WEEK / min(hours, DAY))


def _continued(levels: Floats) -> float:
    """Return the next value of a series of levels by the median of its slopes, in logarithms."""
    known = np.flatnonzero(levels > 0)
    if not len(known):
        return 0.0 if (levels == 0).any() else float("nan")
    values = np.log(levels[known])
    if len(known) < 4:
        return float(np.exp(np.median(values)))
    first, second = np.triu_indices(len(known), k=1)
    slope = float(np.median((values[second] - values[first]) / (known[second] - known[first])))
    return float(np.exp(np.median(values + slope * (len(levels) - known))))


def _usual(shares: Floats) -> Floats:
    """Return the usual share of each span: the median, or for small numbers, whose median is coarse, a trimmed mean."""
    middle = median(shares)
    ordered = np.sort(shares, axis=0)  # NaN comes last
    count = (~np.isnan(shares)).sum(axis=0)
    if len(ordered) < 5:
        return np.where(middle < 10, _mean(ordered), middle)
    inner = ordered.copy()
    inner[0] = np.nan
    inner[np.maximum(count - 1, 0), np.arange(inner.shape[1])] = np.nan
    return np.where(middle < 10, _mean(np.where(count >= 5, inner, ordered)), middle)


def _learnt_dispersion(rows: Floats, expected: Floats) -> float:
    """Return the dispersion by which the middle and the nine tenths of the squared errors are as they should be."""
    squared = (rows - expected) ** 2

    def solved(share: float, quantile: float) -> float:
        low, high = 0.0, 4.0
        if np.quantile(squared / expected, share) <= quantile:
            return 0.0
        for _ in range(16):
            middle = (low + high) / 2
            if np.quantile(squared / (expected + middle * expected**2), share) > quantile:
                low = middle
            else:
                high = middle
        return high

    return max(solved(0.5, 0.455), solved(0.9, 2.706))  # quantiles of chi-square with one degree of freedom


def _second(values: Floats) -> Floats:
    """Return the second smallest value of each column; minus infinity among fewer than five."""
    ordered = np.sort(values, axis=0)
    enough = (~np.isnan(values)).sum(axis=0) >= 5
    return np.where(enough, ordered[min(1, len(ordered) - 1)], np.inf)


def median(values: Floats) -> Floats:
    """Return the median of each column without its NaN; faster than NumPy's for few rows."""
    ordered = np.sort(values, axis=0)  # NaN comes last
    count = (~np.isnan(values)).sum(axis=0)
    middle = [np.take_along_axis(ordered, np.maximum(at, 0)[None], axis=0)[0] for at in ((count - 1) // 2, count // 2)]
    return np.where(count > 0, (middle[0] + middle[1]) / 2, np.nan)


def _mean(values: Floats) -> Floats:
    count = (~np.isnan(values)).sum(axis=0)
    return np.where(count > 0, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan)
