"""The checks of the gate, each from evidence and policy to what it found, in words.

Adding a check is adding a function to `CHECKS`.
"""

from collections.abc import Callable

from everfit.blocks.gating import GatePolicy, SlicePolicy
from everfit.tasks.core.metric_scale import facts_of
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.gate.check import Check, Checks, judge, missing, number, percent
from everfit.tasks.gate.evidence import Evidence, SliceEvidence
from everfit.tasks.gate.holdout_start import holdout_start_allowed
from everfit.tasks.gate.limits import (
    business_value_limits,
    calibration_limits,
    conversion_parity,
    fairness_limits,
    robustness_limits,
    serving_limits,
)

_TOLD = 5
"""So many slices are told of by name."""


def _unseen_rows(evidence: Evidence, _: GatePolicy) -> Checks:
    name, overlap, since = "unseen rows", evidence.overlap_rows, evidence.holdout.since
    first = evidence.champion_version is None
    trained_until = [evidence.challenger_trained_until, *([] if first else [evidence.champion_trained_until])]
    # Of a sample, times don't tell which rows the challenger has seen: their keys do.
    seen_until = holdout_start_allowed(*trained_until[evidence.sampled :])
    if overlap is None or None in trained_until or (seen_until is None and not evidence.sampled):
        yield missing(name, "whether a model has trained on rows of the hold-out")
    elif overlap:
        reason = (
            f"{overlap:,} of the {evidence.holdout_rows:,} hold-out rows were trained on; compare on unseen rows only"
        )
        yield Check(name=name, passed=False, value=overlap, bound=0, reason=reason)
    elif seen_until is not None and (since is None or since < seen_until):
        start = "the beginning" if since is None else f"{since:%Y-%m-%d %H:%M}"
        reason = f"the hold-out starts at {start}, but a model was trained on rows up to {seen_until:%Y-%m-%d %H:%M}"
        yield Check(name=name, passed=False, value=overlap, bound=0, reason=reason)
    else:
        yield Check(name=name, passed=True, value=0, bound=0, reason="no model has trained on a row of the hold-out")


def _expectations(evidence: Evidence, policy: GatePolicy) -> Checks:
    if not policy.expectations:
        return
    passed = evidence.expectations_passed
    if passed is None:
        yield missing("expectations", "whether the data meets its expectations")
    else:
        reason = "the data meets its expectations" if passed else "the data does not meet its expectations"
        yield Check(name="expectations", passed=passed, reason=reason)


def _leaks(evidence: Evidence, policy: GatePolicy) -> Checks:
    if not policy.leaks:
        return
    suspects = evidence.suspected_leaks
    if suspects is None:
        yield missing("leaks", "whether a feature leaks the label")
    else:
        told = (
            f"{', '.join(suspects)}: suspected of knowing the label; put under columns.ignore what does, and under "
            f"training.allow_leaks what doesn't"
        )
        yield Check(
            name="leaks",
            passed=not suspects,
            value=len(suspects),
            bound=0,
            reason=told if suspects else "no feature is suspected of knowing the label",
        )


def _minima(evidence: Evidence, policy: GatePolicy) -> Checks:
    for name, bound in sorted(policy.minimum.items()):
        value = evidence.challenger.get(name)
        at_most = not facts_of(name, evidence.own_metrics.get(name)).greater_is_better
        yield judge(f"minimum {name}", value, bound, at_most=at_most, what=f"the challenger's {name}")


def _holdout_size(evidence: Evidence, policy: GatePolicy) -> Checks:
    name, rows = "hold-out size", evidence.holdout_rows
    compared = evidence.comparison or evidence.dummy_comparison
    rarest = None if compared is None else compared.rarest_class_rows
    if rows < policy.min_rows:
        reason = f"the hold-out has {rows:,} rows; a comparison needs at least {policy.min_rows:,}"
        yield Check(name=name, passed=False, value=rows, bound=policy.min_rows, reason=reason)
    elif rarest is not None and rarest < policy.min_class_rows:
        reason = f"the hold-out has {rarest:,} rows of its rarest class; a comparison needs {policy.min_class_rows:,}"
        yield Check(name=name, passed=False, value=rarest, bound=policy.min_class_rows, reason=reason)
    else:
        reason = f"{rows:,} rows to compare on; at least {policy.min_rows:,} are asked for"
        yield Check(name=name, passed=True, value=rows, bound=policy.min_rows, reason=reason)


def _dummy(evidence: Evidence, policy: GatePolicy) -> Checks:
    if not policy.dummy:
        return
    found = evidence.dummy_comparison
    if found is None:
        what = f"how the challenger's {evidence.metric} compares with that of a dummy baseline"
        yield missing("dummy", what, evidence.not_measured.get("dummy"))
        return
    if found.confidence < policy.confidence:
        yield _too_unsure("dummy", found, policy)
        return
    passed = found.lower > 0
    told = f"the challenger's {found.metric} {number(found.challenger)} against the dummy's {number(found.champion)}"
    sure = f"the {percent(found.confidence)} lower bound of its gain is {number(found.lower)}"
    reason = f"{told}: {sure}; it must be above 0"
    yield Check(name="dummy", passed=passed, value=found.lower, bound=0, reason=reason)


def _comparison(evidence: Evidence, policy: GatePolicy) -> Checks:
    if evidence.champion_version is None:
        return
    name, found = "comparison", evidence.comparison
    if found is None:
        what = f"how the challenger compares with champion {evidence.champion_version}"
        yield missing(name, what, evidence.not_measured.get(name))
        return
    if found.confidence < policy.confidence:
        yield _too_unsure(name, found, policy)
        return
    bound = policy.min_gain if policy.margin is None else -policy.margin
    passed = found.lower > bound
    asked = f"it must be above {number(bound)}"
    joined = "but" if found.difference > 0 and not passed else "and"
    sure = f"the {percent(found.confidence)} lower bound of the gain is {number(found.lower)} on {found.rows:,} rows"
    reason = f"{_told(found)}, {joined} {sure}; {asked}"
    if found.method == "identical":
        reason = (
            f"the challenger answers exactly as the champion does on {found.rows:,} rows; the gain is 0, and {asked}"
        )
    yield Check(name=name, passed=passed, value=found.lower, bound=bound, reason=reason)


def _too_unsure(name: str, found: PairedComparison, policy: GatePolicy) -> Check:
    reason = f"compared at {percent(found.confidence)} confidence only; {percent(policy.confidence)} are asked for"
    return Check(name=name, passed=False, value=found.confidence, bound=policy.confidence, reason=reason)


def _told(found: PairedComparison) -> str:
    above = "above" if found.challenger > found.champion else "below"
    by = f"{number(abs(found.difference))} {above}" if found.difference else "equal to"
    return f"the challenger's {found.metric} {number(found.challenger)} is {by} the champion's {number(found.champion)}"


def _slices(evidence: Evidence, policy: GatePolicy) -> Checks:
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
    rest = f" and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    return f"{'; '.join(told[:_TOLD])}{rest}"


CHECKS: tuple[Callable[[Evidence, GatePolicy], Checks], ...] = (
    _unseen_rows,
    _expectations,
    _leaks,
    _minima,
    _holdout_size,
    _dummy,
    _comparison,
    _slices,
    fairness_limits,
    calibration_limits,
    robustness_limits,
    business_value_limits,
    serving_limits,
    conversion_parity,
)
"""In the order in which a person would ask."""
