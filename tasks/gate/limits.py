"""The gate's limits on what a challenger does beside its primary metric."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Check, Checks, judge, missing, number
from everfit.tasks.gate.evidence import Evidence, FairnessEvidence


def fairness_limits(evidence: Evidence, policy: GatePolicy) -> Checks:
    """How differently groups are treated, against the limits and the champion."""
    if policy.fairness is None:
        return
    if not evidence.fairness:
        yield missing("fairness", "how groups of protected columns are treated")
        return
    limits = {
        "demographic_parity_difference": policy.fairness.max_demographic_parity_difference,
        "equalized_odds_difference": policy.fairness.max_equalized_odds_difference,
    }
    for group in evidence.fairness:
        for kind, limit in limits.items():
            yield from _group(group, kind, limit, policy.fairness.max_worsening, evidence.champion_version is not None)


def _group(group: FairnessEvidence, kind: str, limit: float | None, worsening: float | None, champion: bool) -> Checks:
    value, before = getattr(group, kind), getattr(group, f"champion_{kind}")
    name, what = f"fairness {group.column} {kind}", f"{kind.replace('_', ' ')} of {group.column}"
    if limit is not None:
        yield judge(name, value, limit, at_most=True, what=what)
    if worsening is not None and champion:
        wider = None if value is None or before is None else value - before
        yield judge(f"{name} worsening", wider, worsening, at_most=True, what=f"the worsening of {what}")


def calibration_limits(evidence: Evidence, policy: GatePolicy) -> Checks:
    """How far probabilities are from what happens."""
    if policy.calibration is None:
        return
    found = evidence.calibration
    value, before = (None, None) if found is None else (found.challenger, found.champion)
    if policy.calibration.max_error is not None:
        what = "the expected calibration error"
        yield judge("calibration", value, policy.calibration.max_error, at_most=True, what=what)
    if policy.calibration.max_worsening is not None and evidence.champion_version is not None:
        worse = None if value is None or before is None else value - before
        what = "the worsening of the expected calibration error"
        yield judge("calibration worsening", worse, policy.calibration.max_worsening, at_most=True, what=what)


def robustness_limits(evidence: Evidence, policy: GatePolicy) -> Checks:
    """How many predictions flip under small changes."""
    if policy.robustness is None:
        return
    found = evidence.robustness
    what = "the share of predictions that flip" + (
        f" under {found.perturbation}" if found and found.perturbation else ""
    )
    value = None if found is None else found.flip_share
    yield judge("robustness", value, policy.robustness.max_flip_share, at_most=True, what=what)


def business_value_limits(evidence: Evidence, policy: GatePolicy) -> Checks:
    """What the release is worth."""
    if policy.business_value is None:
        return
    found, first = evidence.business_value, evidence.champion_version is None
    before = 0.0 if first else None if found is None else found.champion
    value = None if found is None or found.challenger is None or before is None else found.challenger - before
    unit = f" in {found.unit}" if found and found.unit else ""
    what = f"the gain per row over {'no action' if first else 'the champion'}{unit}"
    yield judge("business value", value, policy.business_value.min_gain, at_most=False, what=what)


def serving_limits(evidence: Evidence, policy: GatePolicy) -> Checks:
    """Whether the prediction service's own code can serve the model, and within its limits."""
    if policy.serving is None:
        return
    found = evidence.serving
    if found is None:
        yield missing("serving", "whether the prediction service can load the model and answers as in training")
        return
    passed = found.loaded and found.same_predictions
    reason = "the prediction service loads the model and answers as in training"
    if not passed:
        failing = "answers otherwise than in training" if found.loaded else "can't load the model"
        reason = f"the prediction service {failing}" + (f": {found.problem}" if found.problem else "")
    yield Check(name="serving", passed=passed, reason=reason)
    for name, value, bound in (
        ("p99_ms", found.p99_ms, policy.serving.p99_ms),
        ("size_mb", found.size_mb, policy.serving.size_mb),
        ("memory_mb", found.memory_mb, policy.serving.memory_mb),
    ):
        if bound is not None:
            yield judge(f"serving {name}", value, bound, at_most=True, what=f"{name} in the prediction service")


def conversion_parity(evidence: Evidence, policy: GatePolicy) -> Checks:
    """Whether the model is what it was fitted to be in the format that it is released in."""
    found = evidence.conversion
    if found is None:
        if policy.conversion:
            yield missing("conversion", "whether the converted model answers as the fitted one")
        return
    if found.accepted:
        reason = f"converted to {found.format} the model answers as it was fitted: on {found.rows:,} hold-out rows "
        reason += f"predictions differ by at most {number(found.difference)}"
        yield Check(name="conversion", passed=True, value=found.difference, reason=reason)
        return
    kept = f"the model could not be converted to {found.format}"
    instead = f"it must be {found.format} to be released" if policy.conversion else "it is released as it was fitted"
    reason = f"{kept}: {found.problem}; {instead}"
    yield Check(name="conversion", passed=not policy.conversion, value=found.difference, reason=reason)
