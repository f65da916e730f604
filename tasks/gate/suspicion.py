"""Whether a challenger is too good to be true, so that a person should look before it is used."""

from everfit.blocks.gating import GatePolicy
from everfit.blocks.metrics import METRICS
from everfit.tasks.gate.check import number
from everfit.tasks.gate.evidence import Evidence

_NEARLY_ALL, _NEARLY_ALL_UNSQUARED = 0.99, 0.95
"""The share of the way from a model without inputs to a perfect one; the second for losses that aren't squares."""
_SQUARED = frozenset({"mse", "brier"})
_ASKED = ("roc_auc", "roc_auc_ovr", "r2")
"""Measured beside the primary metric; a leak shows in these whatever the share of the classes."""


def suspicion(evidence: Evidence, policy: GatePolicy) -> str:
    """Return why a person should look for a leak before the release, or an empty text.

    A feature that is only called like the target is looked at once, with the first champion.

    Args:
        evidence: The evidence of the challenger.
        policy: The policy of the gate; with `leaks: false` nothing is suspected.
    """
    if not policy.leaks:
        return ""
    found = []
    perfect = _nearly_perfect(evidence, evidence.challenger)
    if perfect and not (evidence.champion is not None and _nearly_perfect(evidence, evidence.champion)):
        found.append(f"it is nearly perfect ({perfect}), as a model is that sees the label")
    if evidence.namesakes and evidence.champion_version is None:
        names = ", ".join(evidence.namesakes)
        found.append(f"it uses {names}, called like the target, which may not be known before the event")
    return "; and ".join(found)


def _nearly_perfect(evidence: Evidence, metrics: dict[str, float | None]) -> str:
    """Return the metric and value by which a model is nearly perfect, or an empty text."""
    for name in dict.fromkeys((evidence.metric, *_ASKED)):
        facts, value, dummy = METRICS.get(name), metrics.get(name), (evidence.dummy or {}).get(name)
        if facts is None or value is None or dummy is None:
            continue
        best = facts.highest if facts.greater_is_better else facts.lowest
        missed, possible = abs(best - value), abs(best - dummy)
        nearly = _NEARLY_ALL if facts.greater_is_better or name in _SQUARED else _NEARLY_ALL_UNSQUARED
        if possible > 0 and missed <= (1 - nearly) * possible:
            return f"{name} {number(value)}"
    return ""
