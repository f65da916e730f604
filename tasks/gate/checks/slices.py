"""No slice of the rows clearly loses to the champion."""

from everfit.blocks.gating import GatePolicy, SlicePolicy
from everfit.tasks.gate.check import Checks, GateCheck, missing, number, percent
from everfit.tasks.gate.evidence import Check, Evidence, SliceEvidence

_SHOWN = 5
"""This many slices are named in a reason."""


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    if policy.slices is None or evidence.champion_version is None:
        return
    if evidence.slices is None:
        yield missing("slices", "how slices of the rows compare with the champion")
        return
    limits = policy.slices
    looked_at = [(each, _too_few(each, limits)) for each in evidence.slices]
    judged, few = [each for each, why in looked_at if not why], [why for _, why in looked_at if why]
    unjudged = f" ({len(few)} can't be judged: {_shortened(few)})" if few else ""
    if unmeasured := [str(each) for each in judged if each.comparison is None]:
        yield missing("slices", f"how {', '.join(unmeasured)} compares with the champion")
        return
    from scipy.stats import false_discovery_control

    found = [(each, each.comparison) for each in judged if each.comparison is not None]
    adjusted = false_discovery_control([comparison.p_value_worse for _, comparison in found])
    worst: list[tuple[float, str]] = []
    for (each, comparison), p_value in zip(found, adjusted.tolist(), strict=True):
        if -comparison.difference > limits.max_loss and p_value <= limits.false_discovery_rate:
            told = f"{each} ({number(-comparison.difference)} worse on {each.rows:,} rows)"
            worst.append((-comparison.difference, told))
    worst.sort(reverse=True)
    loss = max((-comparison.difference for _, comparison in found), default=0.0)
    if worst:
        reason = (
            f"{len(worst)} of {len(found)} slices lose more than {number(limits.max_loss)} to the champion, with at "
        )
        reason += f"most {percent(limits.false_discovery_rate)} false alarms: {_shortened([told for _, told in worst])}"
        yield Check(name="slices", passed=False, value=loss, bound=limits.max_loss, reason=reason + unjudged)
    elif few and limits.small_slices == "fail":
        reason = f"{len(few)} of {len(evidence.slices)} slices can't be judged: {_shortened(few)}; each of "
        reason += "them must be, as gate.slices.small_slices is `fail`"
        yield Check(name="slices", passed=False, value=loss, bound=limits.max_loss, reason=reason)
    else:
        reason = f"none of {len(found)} slices is clearly worse than with the champion{unjudged}"
        yield Check(name="slices", passed=True, value=loss, bound=limits.max_loss, reason=reason)


def _too_few(each: SliceEvidence, limits: SlicePolicy) -> str:
    """Why a slice can't be judged, in words; nothing where it can."""
    if each.rows < limits.min_rows:
        return f"{each} has {each.rows:,} of {limits.min_rows:,} rows"
    if each.other_class_rows is not None and each.other_class_rows < limits.min_class_rows:
        return f"{each} has {each.other_class_rows:,} of {limits.min_class_rows:,} rows outside of its largest class"
    return ""


def _shortened(told: list[str]) -> str:
    rest = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return f"{'; '.join(told[:_SHOWN])}{rest}"


CHECK = GateCheck(
    name="slices",
    place=80,
    summary="No slice of the rows clearly loses to the champion.",
    policy="slices",
    judge=_judge,
    measured=True,
)
