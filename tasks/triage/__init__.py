"""Triage: from monitoring signals to one verdict, with the rule that fired and reasons in words. Pure."""

from everfit.tasks.triage.decision import RULES, TriageDecision, triage

__all__ = ["RULES", "TriageDecision", "triage"]
