"""Triage: one verdict from monitoring signals, with the rule that fired and its reasons. Pure."""

from everfit.tasks.triage.decision import RULES, TriageDecision, triage

__all__ = ["RULES", "TriageDecision", "triage"]
