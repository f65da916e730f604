"""What triage remembers of a model: past windows and past turns, all in event time."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field, FiniteFloat

from everfit.tasks.core.records import Record, TriggerKind, Window
from everfit.tasks.triage.signals import Baseline

Outcome = Literal["running", "awaiting_approval", "promoted", "kept", "rejected", "nothing_new", "failed", "other"]
"""How a turn ended.

`rejected` for its data, `kept` when the challenger was no better. `other` when a user's own flow broke it off, or ended
it under a name that everfit doesn't know: that says nothing about training.
"""


class PastQuality(Record):
    """Realised quality of a past window."""

    window: Window = Field(description="Of the labelled rows.")
    metric: str
    rows: int
    loss: FiniteFloat = Field(description="Against what was to be expected on these rows; positive when worse.")
    standard_error: FiniteFloat


class PastWindow(Record):
    """What was found in a window and decided on it."""

    window: Window
    reference: str = Field(description="Id of the champion's reference at that time.")
    verdict: str
    rule: str
    signature: str
    drifted: bool | None = None
    quality: PastQuality | None = None

    @property
    def judged_quality(self) -> PastQuality | None:
        """Quality where it says something of the model: what it makes of broken data is the data's fault."""
        return None if self.verdict == "quarantine" else self.quality


class PastTurn(Record):
    """A turn, what called for it, and whether it helped."""

    turn_id: str
    until: AwareDatetime
    kind: TriggerKind = "manual"
    signature: str = Field(default="", description="Of the triage decision behind it; empty without one.")
    reference: str = Field(default="", description="Id of the reference that the turn was to replace.")
    outcome: Outcome
    helped: bool | None = Field(default=None, description="None while it isn't known.")
    loss: FiniteFloat | None = Field(default=None, description="What had been lost when it was called for.")
    level: Baseline | None = Field(default=None, description="The quality that it was to win back.")
    seconds: FiniteFloat | None = Field(default=None, description="How long it took.")
    why: str = Field(default="", description="Why it broke off, where it did.")

    @property
    def in_flight(self) -> bool:
        """Whether its outcome is still open."""
        return self.outcome in {"running", "awaiting_approval"}

    @property
    def broke_off(self) -> bool:
        """Whether it came to no challenger, for it failed or its data was refused: it says nothing of training."""
        return self.outcome in {"failed", "rejected"}

    @property
    def shows_nothing(self) -> bool:
        """Whether nothing follows from it for training: it is open, came to no challenger, or an own flow ended it."""
        return self.in_flight or self.broke_off or self.outcome == "other"


class History(Record):
    """Past windows and turns of a model, each oldest first."""

    windows: tuple[PastWindow, ...] = ()
    turns: tuple[PastTurn, ...] = ()

    def before(self, until: datetime) -> "History":
        """What was known before a window's end, so that a decision made again is the same decision."""
        return History(
            windows=tuple(each for each in self.windows if each.window.until < until),
            turns=tuple(each for each in self.turns if each.until < until),
        )

    def attempts_in_vain(self, signature: str, reference: str, since: datetime) -> tuple[PastTurn, ...]:
        """Retrainings for the same trouble that did not help, oldest first.

        Those that kept the reference count, and those that replaced it without helping, back to the last that helped.
        """
        found: list[PastTurn] = []
        same = [each for each in self.turns if each.until > since and each.signature == signature]
        for turn in reversed([each for each in same if not each.broke_off and each.outcome != "other"]):
            if turn.in_flight or (turn.outcome == "promoted" and turn.helped is not False):
                break
            if turn.reference != reference and turn.outcome != "promoted":
                continue  # it was about a champion that has been replaced since
            found.append(turn)
        return tuple(reversed(found))

    def attempts_at(self, signature: str, since: datetime) -> tuple[PastTurn, ...]:
        """All retrainings that came to their end and were to win back the level that the newest of them was to."""
        over = [turn for turn in self.turns if not turn.shows_nothing]
        tried = [turn for turn in over if turn.until > since and turn.signature == signature and turn.level is not None]
        return tuple(turn for turn in tried if turn.level == tried[-1].level)
