"""The verdicts of triage, each declared once: flow state, headline, event and whom it notifies."""

from typing import Literal

from pydantic import Field

from everfit.blocks.notifying import Severity
from everfit.tasks.core.event_names import ESCALATED
from everfit.tasks.core.records import Record

Verdict = Literal["healthy", "watch", "quarantine", "retrain", "judge", "roll_back", "escalate"]


class VerdictDeclaration(Record):
    """The declaration of a verdict: its final state, its wording and whom it notifies."""

    state: str = Field(description="Name of the monitoring flow's final state.")
    headline: str = Field(description="The first words of the artifact.")
    meaning: str = Field(description="One line for the docs.")
    acts: bool = Field(default=False, description="Whether the flow does something about the window by itself.")
    calls_turn: bool = Field(default=False, description="Whether a turn is requested.")
    event: str | None = Field(default=None, description="Emitted the first time, and when a data problem lasts.")
    notifies: str = Field(default="", description="Whom the event is for; empty if nobody is notified.")
    severity: Severity | None = Field(
        default=None, description="The severity of the message; None if nobody is notified."
    )
    advice: str = Field(default="", description="The advice to the person.")
    command: str = Field(default="", description="The command that shows more, with `{model}`.")


VERDICTS: dict[Verdict, VerdictDeclaration] = {
    "healthy": VerdictDeclaration(
        state="Healthy",
        headline="all is well",
        meaning="every area that health needs was measured, and none has a problem",
    ),
    "judge": VerdictDeclaration(
        state="JudgementCalled",
        headline="a challenger that waits for evidence is judged again",
        meaning="a challenger that was kept for want of evidence is judged by more rows; nothing is trained",
        acts=True,
        calls_turn=True,
    ),
    "watch": VerdictDeclaration(
        state="Watching",
        headline="worth watching",
        meaning="something is unusual or unknown, but there is no reason to act yet",
    ),
    "retrain": VerdictDeclaration(
        state="RetrainingCalled",
        headline="a retraining is due",
        meaning="a retraining starts, unless a limit such as cooldown or budget holds it back",
        acts=True,
        calls_turn=True,
    ),
    "quarantine": VerdictDeclaration(
        state="DataQuarantined",
        headline="the data is broken",
        meaning="the data is broken, so nothing is trained on it",
        acts=True,
        event=ESCALATED,
        notifies="the person on call",
        severity="warning",
        advice="Repair the source. Nothing is trained on such rows, and the champion stays.",
        command="everfit quarantine {model}",
    ),
    "roll_back": VerdictDeclaration(
        state="RolledBack",
        headline="rolled back to the previous champion",
        meaning="quality fell right after a release, so the previous champion is back",
        acts=True,
        event=ESCALATED,
        notifies="the person on call",
        severity="critical",
        advice="The previous champion answers again. Find out what was wrong with the released one before the next.",
        command="everfit history {model}",
    ),
    "escalate": VerdictDeclaration(
        state="Escalated",
        headline="a person is needed",
        meaning="no automatic step would help, so a person must decide",
        event=ESCALATED,
        notifies="the person on call",
        severity="critical",
        advice="Read the reasons and decide. No limit holds back a training or a rollback that a person starts.",
        command="everfit history {model}",
    ),
}
"""From the best to the worst, which is the order of the docs."""
