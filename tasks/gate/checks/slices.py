"""No slice of the rows clearly loses to the champion."""

from everfit.blocks.gate_limits import SlicePolicy
from everfit.blocks.gating import GatePolicy
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
    looked_at = [(part, _too_few(part, limits)) for part in evidence.slices]
    judged, few = [part for part, why in looked_at if not why], [why for _, why in looked_at if why]
    unjudged = f" ({len(few)} can't be judged: {_shortened(few)})" if few else ""
    if unmeasured := [str(part) for part in judged if part.comparison is None]:
        yield missing("slices", f"how {', '.join(unmeasured)} compares with the champion")
        return
    from scipy.stats import false_discovery_control

    compared = [(part, part.comparison) for part in judged if part.comparison is not None]
    adjusted = false_discovery_control([comparison.p_value_worse for _, comparison in compared])
    worst: list[tuple[float, str]] = []
    for (part, comparison), p_value in zip(compared, adjusted.tolist(), strict=True):
        if -comparison.difference > limits.max_loss and p_value <= limits.false_discovery_rate:
            worse = f"{part} ({number(-comparison.difference)} worse on {part.rows:,} rows)"
            worst.append((-comparison.difference, worse))
    worst.sort(reverse=True)
    loss = max((-comparison.difference for _, comparison in compared), default=0.0)
    if worst:
        reason = (
            f"{len(worst)} of {len(compared)} slices lose more than {number(limits.max_loss)} to the champion, with at "
        )
        reason += (
            f"most {percent(limits.false_discovery_rate)} false alarms: {_shortened([worse for _, worse in worst])}"
        )
        yield Check(name="slices", passed=False, value=loss, bound=limits.max_loss, reason=reason + unjudged)
    elif few and limits.small_slices == "fail":
        reason = f"{len(few)} of {len(evidence.slices)} slices can't be judged: {_shortened(few)}; each of "
        reason += "them must be, as gate.slices.small_slices is `fail`"
        yield Check(name="slices", passed=False, value=loss, bound=limits.max_loss, reason=reason)
    else:
        reason = f"none of {len(compared)} slices is clearly worse than with the champion{unjudged}"
        yield Check(name="slices", passed=True, value=loss, bound=limits.max_loss, reason=reason)


def _too_few(part: SliceEvidence, limits: SlicePolicy) -> str:
    """Why a slice can't be judged, in words; nothing where it can."""
    if part.rows < limits.min_rows:
        return f"{part} has {part.rows:,} of {limits.min_rows:,} rows"
    if part.other_class_rows is not None and part.other_class_rows < limits.min_class_rows:
        return f"{part} has {part.other_class_rows:,} of {limits.min_class_rows:,} rows outside of its largest class"
    return ""


def _shortened(losers: list[str]) -> str:
    rest = f" and {len(losers) - _SHOWN} more" if len(losers) > _SHOWN else ""
    return f"{'; '.join(losers[:_SHOWN])}{rest}"


CHECK = GateCheck(
    name="slices",
    place=80,
    summary="No slice of the rows clearly loses to the champion.",
    policy="slices",
    judge=_judge,
    open_on_few_rows="missing",
    measured=True,
)
