"""The history of a model that triage reads: past windows and past turns, all in event time."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field, FiniteFloat

from everfit.tasks.core.records import Record, TriggerKind, Window
from everfit.tasks.triage.quality_signals import Baseline

Outcome = Literal["running", "awaiting_approval", "promoted", "kept", "rejected", "nothing_new", "failed", "other"]
"""How a turn ended.

`rejected` if its data was, `kept` if the challenger was no better. `other` if a user's own flow broke it off, or ended
it under a name that everfit does not know, or if it judged a waiting challenger in vain: that says nothing about
training.
"""


def _is_none(value: object) -> bool:
    return value is None  # left out of the JSON, so that decisions without it keep their ids


class PastQuality(Record):
    """Realised quality of a past window."""

    window: Window = Field(description="The window of the labelled rows.")
    metric: str
    rows: int
    loss: FiniteFloat = Field(description="Against the quality expected on these rows; positive when worse.")
    standard_error: FiniteFloat


class PastWindow(Record):
    """A past window with its evidence in short and its decision."""

    window: Window
    reference: str = Field(description="Id of the champion's reference at that time.")
    verdict: str
    rule: str
    signature: str
    drifted: bool | None = None
    quality: PastQuality | None = None
    broken: tuple[str, ...] = Field(default=(), description="Columns whose data was broken.")
    broken_limits: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda names: not names,
        description="Figures of fairness and calibration that were beyond their limits.",
    )
    harmless: bool = Field(default=False, description="Whether quality on such data was measured to be as before.")
    bounds_yield: bool = Field(
        default=False,
        exclude_if=lambda yields: not yields,
        description="Whether the broken bounds are inferred ones that measured quality takes precedence over.",
    )

    @property
    def judged_quality(self) -> PastQuality | None:
        """The quality, unless the data was broken: quality on broken data says nothing about the model."""
        return None if self.verdict == "quarantine" else self.quality


class PastTurn(Record):
    """A turn, its trigger, and whether it helped."""

    turn_id: str
    until: AwareDatetime
    kind: TriggerKind = "manual"
    signature: str = Field(
        default="", description="The signature of the triage decision that called it; empty without one."
    )
    reference: str = Field(default="", description="Id of the reference that the turn should replace.")
    outcome: Outcome
    helped: bool | None = Field(default=None, description="None while it is not known.")
    loss: FiniteFloat | None = Field(default=None, description="The loss of quality when it was called.")
    live_gain: FiniteFloat | None = Field(
        default=None,
        exclude_if=_is_none,
        description="The gain of the champion that it made over the previous one, on the first live rows of both.",
    )
    loss_rows: int | None = Field(default=None, description="Rows that showed the loss.")
    level: Baseline | None = Field(default=None, description="The quality that it should win back.")
    version: int | None = Field(default=None, description="The version that it registered.")
    growth_to_show: FiniteFloat | None = Field(
        default=None,
        description="How many times as many rows would show the gain that it measured; none without a gain.",
    )
    unseen_rows: int | None = Field(
        default=None, description="Rows with mature labels that the champion had not been trained on by then."
    )
    waits: int | None = Field(
        default=None, exclude_if=_is_none, description="Version of its challenger, if that waits for evidence."
    )
    waits_against: int | None = Field(
        default=None, exclude_if=_is_none, description="The champion that this challenger was compared with."
    )
    judged_by: int | None = Field(
        default=None, exclude_if=_is_none, description="The rows that this challenger was judged by."
    )
    seconds: FiniteFloat | None = Field(default=None, description="How long it took.")
    reason: str = Field(default="", description="Why it failed, if it did.")

    @property
    def in_flight(self) -> bool:
        """Whether the outcome is still open."""
        return self.outcome in {"running", "awaiting_approval"}

    @property
    def has_failed(self) -> bool:
        """Whether it made no challenger, because it failed or its data was rejected: it says nothing about training."""
        return self.outcome in {"failed", "rejected"}

    @property
    def shows_nothing(self) -> bool:
        """Whether it says nothing about training: it is open, made no challenger, or a user's own flow ended it."""
        return self.in_flight or self.has_failed or self.outcome == "other"


class History(Record):
    """Past windows and turns of a model, each oldest first."""

    windows: tuple[PastWindow, ...] = ()
    turns: tuple[PastTurn, ...] = ()

    def before(self, until: datetime) -> "History":
        """Return the history before a window's end, so that a repeated decision is the same decision."""
        return History(
            windows=tuple(window for window in self.windows if window.window.until < until),
            turns=tuple(turn for turn in self.turns if turn.until < until),
        )

    def last_try(self, version: int) -> PastTurn | None:
        """Return the last completed turn, unless it trained the champion of this version.

        A turn whose release was rolled back is a try in vain as well.
        """
        last = next((turn for turn in reversed(self.turns) if not turn.shows_nothing), None)
        if last is None or (last.outcome == "promoted" and last.version in {None, version}):
            return None
        return last

    def attempts_in_vain(self, signature: str, reference: str, since: datetime) -> tuple[PastTurn, ...]:
        """Return the retrainings for the same problem that did not help, oldest first, since the last that helped.

        Turns that kept the reference count, and turns that replaced it without helping.
        """
        in_vain: list[PastTurn] = []
        same = [turn for turn in self.turns if turn.until > since and turn.signature == signature]
        for turn in reversed([turn for turn in same if not turn.has_failed and turn.outcome != "other"]):
            if turn.in_flight or (turn.outcome == "promoted" and turn.helped is not False):
                break
            if turn.reference != reference and turn.outcome != "promoted":
                continue  # it was about a champion that has been replaced since
            in_vain.append(turn)
        return tuple(reversed(in_vain))

    def attempts_at(self, signature: str, since: datetime) -> tuple[PastTurn, ...]:
        """Return the completed retrainings that should win back the same level as the newest of them."""
        over = [turn for turn in self.turns if not turn.shows_nothing]
        tried = [turn for turn in over if turn.until > since and turn.signature == signature and turn.level is not None]
        return tuple(turn for turn in tried if turn.level == tried[-1].level)
