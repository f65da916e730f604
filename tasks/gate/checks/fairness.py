"""Groups of the protected columns are treated alike, within limits."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Checks, GateCheck, judge, missing
from everfit.tasks.gate.evidence import Evidence, FairnessEvidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    """Check how differently groups are treated, against the limits and the champion."""
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
    name, subject = f"fairness {group.column} {kind}", f"{kind.replace('_', ' ')} of {group.column}"
    if limit is not None:
        yield judge(name, value, limit, at_most=True, subject=subject)
    if worsening is not None and champion:
        wider = None if value is None or before is None else value - before
        yield judge(f"{name} worsening", wider, worsening, at_most=True, subject=f"the worsening of {subject}")


CHECK = GateCheck(
    name="fairness",
    place=90,
    summary="Groups of the protected columns are treated alike, within limits.",
    policy="fairness",
    judge=_judge,
    open_on_few_rows="missing",
    measured=True,
)
