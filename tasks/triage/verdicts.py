"""The verdicts of triage, each declared once: flow state, headline, event and whom it notifies."""

from typing import Literal

from pydantic import Field

from everfit.tasks.core.event_names import ESCALATED
from everfit.tasks.core.records import Record

Verdict = Literal["healthy", "watch", "quarantine", "retrain", "roll_back", "escalate"]


class VerdictDeclaration(Record):
    """What follows from a verdict."""

    state: str = Field(description="Name of the monitoring flow's final state.")
    headline: str = Field(description="What people read first, in the artifact.")
    meaning: str = Field(description="One line for the docs.")
    acts: bool = Field(default=False, description="Whether the flow does something about the window by itself.")
    event: str | None = Field(default=None, description="Emitted the first time, and when a data problem lasts.")
    notifies: str = Field(default="", description="Whom the event is for; empty if nobody is notified.")


VERDICTS: dict[Verdict, VerdictDeclaration] = {
    "healthy": VerdictDeclaration(
        state="Healthy",
        headline="all is well",
        meaning="every essential area was measured, and none has a problem",
    ),
    "watch": VerdictDeclaration(
        state="Watching",
        headline="worth watching",
        meaning="something is unusual or unknown, but there is no reason to act yet",
    ),
    "quarantine": VerdictDeclaration(
        state="DataQuarantined",
        headline="the data is broken",
        meaning="the data is broken, so the model does not retrain on it",
        acts=True,
        event=ESCALATED,
        notifies="the person on call",
    ),
    "retrain": VerdictDeclaration(
        state="RetrainingCalled",
        headline="a retraining is needed",
        meaning="a retraining starts, unless a limit such as cooldown or budget holds it back",
        acts=True,
    ),
    "roll_back": VerdictDeclaration(
        state="RolledBack",
        headline="rolled back to the previous champion",
        meaning="the new champion is worse than the previous one, which becomes the champion again",
        acts=True,
        event=ESCALATED,
        notifies="the person on call",
    ),
    "escalate": VerdictDeclaration(
        state="Escalated",
        headline="a person is needed",
        meaning="everfit cannot solve this by itself; a person is notified",
        event=ESCALATED,
        notifies="the person on call",
    ),
}
"""In the order of the docs."""
