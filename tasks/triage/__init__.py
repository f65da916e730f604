"""Triage: one verdict from monitoring signals, with the rule that decided and its reasons. Pure."""

from everfit.tasks.triage.decision import TriageDecision, triage
from everfit.tasks.triage.rules import RULES
from everfit.tasks.triage.verdicts import VERDICTS, Verdict

__all__ = ["RULES", "VERDICTS", "TriageDecision", "Verdict", "triage"]
