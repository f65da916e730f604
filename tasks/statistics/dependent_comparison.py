"""Compare two models on rows that depend on each other, over all rows and within groups of time."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr, stdtrit

from everfit.blocks.errors import NotEnoughError
from everfit.tasks.core.paired_comparison import EarlierGains, PairedComparison, WithinGroups
from everfit.tasks.statistics.dependent_rows import GroupedGain, Rows, gain_within_groups, grouped_gain, time_groups

_CLEARLY_SMALLER = 0.8
"""Share of the other error; where rows of a day have little in common, the errors differ by chance alone."""


def compare_dependent(rows: Rows, confidence: float, earlier: Sequence[EarlierGains] | None = None) -> PairedComparison:
    """Compare two models on rows that depend on each other.

    Args:
        rows: The rows.
        confidence: Confidence of each one-sided bound, in (0.5, 1).
        earlier: The autocorrelation of earlier comparisons of the model, oldest first. Its own is recorded then, for
            later ones. Without it neither is done.

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
    checked = rows._replace(y=y, new=new, old=old)
    gain = grouped_gain(checked, [one.overall for one in earlier or () if one.overall is not None])
    within = gain_within_groups(checked, [one.within for one in earlier or () if one.within is not None])
    freedom = gain.degrees_of_freedom  # to freeze the distribution takes as long as to leave the groups out
    reach = float(stdtrit(freedom, confidence)) * gain.standard_error
    # Gains without any spread over the groups are as sure as they can be.
    ratio = gain.gain / gain.standard_error if gain.standard_error > 0 else math.copysign(math.inf, gain.gain)
    return PairedComparison.model_validate(
        {
            **known,
            "difference": gain.gain,
            "lower": gain.gain - reach,
            "upper": gain.gain + reach,
            "p_value": float(stdtr(freedom, -ratio)),
            "p_value_worse": float(stdtr(freedom, ratio)),
            "method": "jackknife",
            "standard_error": gain.standard_error,
            "degrees_of_freedom": gain.degrees_of_freedom,
            "groups": gain.groups,
            "grouped_by": gain.unit,
            "autocorrelation": None if earlier is None else gain.autocorrelation,
            "autocorrelation_within": None if earlier is None or within is None else within.autocorrelation,
            "earlier_groups": gain.earlier_groups,
            "within": None if within is None else _if_more_certain(within, gain, checked),
        }
    )


def _if_more_certain(within: GroupedGain, gain: GroupedGain, rows: Rows) -> WithinGroups | None:
    """Return the gain within groups of time if its error is clearly smaller than that of the gain over all rows.

    The choice depends on the errors alone and not on the gains, so it makes no gain more likely.
    """
    if within.reach >= _CLEARLY_SMALLER * gain.reach:
        return None
    return WithinGroups(
        difference=within.gain,
        standard_error=within.standard_error,
        degrees_of_freedom=within.degrees_of_freedom,
        groups=within.groups,
        grouped_by=time_groups(rows.times)[1],
        earlier_groups=within.earlier_groups,
    )
