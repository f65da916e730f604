"""The gate: decides from evidence whether a challenger is released. Pure."""

from everfit.tasks.gate.decision import Check, Evidence, GateDecision, decide

__all__ = ["Check", "Evidence", "GateDecision", "decide"]
