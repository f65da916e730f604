"""Measure how certain a gain is on rows that depend on each other: of one day, of neighbouring days, of one customer.

Rows that share a day or a customer say less than as many independent rows. Groups of rows are therefore left out as
wholes (the delete-a-group jackknife), which works for every metric. Neighbouring groups of time may depend on each
other too; `ordered_mean.py` widens the error by that.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from everfit.blocks.errors import NotEnoughError
from everfit.tasks.core.paired_comparison import Autocorrelation
from everfit.tasks.statistics.autocorrelation import autocorrelation_of, telling_comparisons, weights_before
from everfit.tasks.statistics.metrics import Floats, Metric
from everfit.tasks.statistics.ordered_mean import error_of_mean
from everfit.tasks.statistics.weighted_metrics import LeavesOut, Weighted
from everfit.tasks.statistics.within_groups import WITHIN, Within

Groups = npt.NDArray[np.int64]

MOST_GROUPS = 100
"""Neighbouring groups of time are merged down to this number, which bounds the cost."""
_MANY_ROWS, _FEW_GROUPS = 200_000, 25
"""With more rows than the first, a metric that is computed again without each group gets only this many groups."""
_FEWEST_GROUPS = 10
_FEWEST_ENTITIES = 50
"""A column with fewer values names categories, not a sample of entities."""
_LEAST_ROWS_OF_A_GROUP = 5
"""With 10, tests on fewer than 200 rows are wrong in 1 % where 5 % is stated; with 5, in 2 to 3 %."""
_UNITS = {"days": 86_400, "hours": 3_600, "10 minutes": 600, "minutes": 60}
"""The units of time that rows are grouped by, in seconds, the longest first."""
_MOSTLY_SHIFTED = 0.9
"""Where a constant makes more of how two models' answers differ, a gain within groups leaves nearly all of it out."""
_CELLS = 4_000_000
_USUAL = 0.95


class GroupedGain(NamedTuple):
    """A gain with its standard error.

    Attributes:
        gain: Difference of the metric; positive when the first model is better.
        standard_error: The standard error of the gain.
        degrees_of_freedom: The degrees of freedom of Student's t distribution that the gain, divided by its error,
            follows.
        groups: Number of groups that were left out, one at a time.
        unit: The unit that groups the rows.
        autocorrelation: Likelihood of the gains by time at each autocorrelation.
        earlier_groups: Number of groups of earlier comparisons that the error counts too.
    """

    gain: float
    standard_error: float
    degrees_of_freedom: float
    groups: int
    unit: str
    autocorrelation: Autocorrelation | None = None
    earlier_groups: int = 0

    @property
    def reach(self) -> float:
        """How far from the gain its one-sided bound is, at the usual confidence: few groups count as uncertain."""
        return float(stdtrit(self.degrees_of_freedom, _USUAL)) * self.standard_error


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


def grouped_gain(rows: Rows, earlier: Sequence[Autocorrelation] = ()) -> GroupedGain:
    """Return how much better one model is than another, with an error that counts dependent rows once.

    The rows are grouped by time, and by each kind of entity; the widest error counts. Leaving out groups of unequal
    size: F. M. T. A. Busing, E. Meijer and R. van der Leeden, "Delete-m jackknife for unequal m", Statistics and
    Computing 9 (1999).

    Args:
        rows: The rows.
        earlier: The autocorrelation of earlier comparisons of the model, oldest first.

    Raises:
        NotEnoughError: There are too few groups, or too few rows of a class, for a standard error.
    """
    return _least_certain(_Pair.of(rows), rows, earlier)


def gain_within_groups(rows: Rows, earlier: Sequence[Autocorrelation] = ()) -> GroupedGain | None:
    """Return how much better one model is among rows of the same time, with an error as `grouped_gain` has it.

    Args:
        rows: The rows.
        earlier: As in `grouped_gain`, of gains within groups.

    Returns:
        None if the metric has no value within groups, if too few groups have one, or if the answers differ by
        a constant: it cancels within each group.
    """
    prepare = WITHIN.get(rows.metric.name) if rows.metric.own is None else None
    groups, _ = time_groups(rows.times)
    if prepare is None or int(groups.max(initial=0)) + 1 < _FEWEST_GROUPS:
        return None
    if rows.metric.facts.reads != "order" and _constant_share(rows.new - rows.old) > _MOSTLY_SHIFTED:
        return None
    pair = _PairWithin.of(rows, prepare(rows.y, rows.new, groups), prepare(rows.y, rows.old, groups))
    try:
        return _least_certain(pair, rows, earlier) if math.isfinite(pair.gain) else None
    except NotEnoughError:
        return None


def _constant_share(differences: Floats) -> float:
    """Return which share of the mean squared difference is the squared mean."""
    whole = float((differences**2).mean())
    return float(differences.mean()) ** 2 / whole if whole > 0 else 0.0


def _least_certain(pair: "_Pair | _PairWithin", rows: Rows, earlier: Sequence[Autocorrelation]) -> GroupedGain:
    """Return the gain with the widest of the errors by time and by each kind of entity."""
    by_time, unit = time_groups(rows.times, pair.most_groups)
    in_order = _in_order(pair, by_time, unit, earlier)
    estimates = [in_order]
    for name, values in {**rows.entities, **rows.whole}.items():
        groups = np.asarray(np.unique(np.asarray(values), return_inverse=True)[1], dtype=np.int64)
        count = int(groups.max(initial=0)) + 1
        if (1 if name in rows.whole else _FEWEST_ENTITIES) <= count < rows.y.size:
            # Many entities are gathered at random, which leaves each whole and bounds the cost.
            gathered = np.random.default_rng(0).permutation(count) % min(count, pair.most_groups)
            deviations = _left_out(pair, gathered[groups], name)
            independent = float(np.sqrt((deviations**2).mean()))
            estimates.append(
                GroupedGain(
                    pair.gain,
                    independent,
                    float(deviations.size - 1),
                    deviations.size,
                    name,
                    in_order.autocorrelation,
                )
            )
    return max(estimates, key=lambda estimate: estimate.reach)


def _in_order(
    pair: "_Pair | _PairWithin", groups: Groups, unit: str, earlier: Sequence[Autocorrelation]
) -> GroupedGain:
    """Return the gain with its error by groups of time."""
    deviations, known = _left_out(pair, groups, unit), telling_comparisons(earlier, unit)
    error = error_of_mean(deviations, weights_before(known))
    return GroupedGain(
        pair.gain,
        error.standard_error,
        error.degrees_of_freedom,
        deviations.size,
        unit,
        autocorrelation_of(deviations, unit),
        sum(one.groups for one in known),
    )


class _PairWithin(NamedTuple):
    """Two models on the same rows, whose metric is taken within groups of time.

    Attributes:
        metric: The metric.
        rows: Number of rows.
        gain: The gain of the first model over the second.
        prepared: The metric of each model within the groups.
    """

    metric: Metric
    rows: int
    gain: float
    prepared: tuple[Within, Within]

    @classmethod
    def of(cls, rows: Rows, new: Within, old: Within) -> "_PairWithin":
        return cls(rows.metric, rows.y.size, rows.metric.gain(new.value, old.value), (new, old))

    @property
    def most_groups(self) -> int:
        """The number of groups that can be left out at a bounded cost."""
        return MOST_GROUPS

    def without_each(self, groups: Groups, count: int) -> Floats:
        """Return the gain without each group; shape (groups,)."""
        new, old = (value.without_each(groups, count) for value in self.prepared)
        return new - old if self.metric.greater_is_better else old - new


class _Pair(NamedTuple):
    """Two models on the same rows, prepared once for all groupings.

    Attributes:
        metric: The metric.
        rows: Number of rows.
        gain: The gain of the first model over the second.
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


def _left_out(pair: _Pair | _PairWithin, groups: Groups, unit: str) -> Floats:
    """Return how far the gain of each group is from that of all, so large that the mean square is the gain's variance.

    Args:
        pair: The two models.
        groups: Number of each row's group; shape (rows,).
        unit: The unit that groups the rows.

    Returns:
        Shape (groups,).
    """
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
    return np.asarray((pseudo - mean) / np.sqrt(shares - 1), dtype=np.float64)
