"""The gate: decide from evidence whether to release a challenger. Pure."""

from everfit.tasks.gate.decision import Check, Evidence, GateDecision, decide

__all__ = ["Check", "Evidence", "GateDecision", "decide"]
