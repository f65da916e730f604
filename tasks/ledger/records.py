"""What is read from the ledger: one frozen record per kind of row."""

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from everfit.tasks.core.records import Record, Trigger, Window

RUNNING = "running"
FAILED = "failed"
AWAITING_APPROVAL = "AwaitingApproval"
ON_TRIAL = "OnTrial"

ReleaseKind = Literal["promotion", "rollback", "outside"]
ReleaseState = Literal["intent", "alias_set", "verified", "undone"]
LeaseScope = Literal["start", "turn", "release"]


class Turn(Record):
    """One pass of the loop: what set it off, what was decided, and on what evidence.

    Attributes:
        state: `running`, `failed`, or the name of the flow's final state (`Promoted`, `ChampionKept`, …).
        record: All evidence of the turn, as JSON.
        attempt: 1 for the first run, one more each time that an unfinished or failed turn was taken up again.
        fence: Token of the lease under which the turn runs. Whoever has an older one may write no more.
    """

    id: str
    model: str
    seq: int
    trigger: Trigger
    window: Window
    state: str
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    record: dict[str, Any] = Field(default_factory=dict)
    spec_digest: str = ""
    code_version: str = ""
    attempt: int = 1
    fence: int | None = None
    started_at: AwareDatetime
    finished_at: AwareDatetime | None = None
    seconds: float | None = None
    error: str | None = None

    @property
    def settled(self) -> bool:
        """Whether the turn came to its end; one that is settled is never run again."""
        return self.state not in {RUNNING, FAILED}


class Decision(Record):
    """What was decided at one moment (by the gate, by triage, by a person), and the evidence for it."""

    id: str
    model: str
    turn_id: str | None = None
    kind: str
    verdict: str
    until: AwareDatetime | None = None
    reasons: tuple[str, ...] = ()
    record: dict[str, Any] = Field(default_factory=dict)
    at: AwareDatetime


class Release(Record):
    """A champion change, and what the new champion was trained on (its reference).

    Attributes:
        seq: Number of the release, from 1, per model.
        state: `intent` (written, nothing changed yet), `alias_set`, `verified` (it is served), or `undone`.
        run_id: MLflow run that trained the version, and so holds its reference sample and profile.
        snapshot_digest: Digest of the data that it was trained on.
        note: What the reconciler or the check that it is served had to say.
    """

    model: str
    seq: int
    version: int
    previous_version: int | None = None
    kind: ReleaseKind
    reason: str = ""
    actor: str = ""
    turn_id: str | None = None
    state: ReleaseState
    run_id: str = ""
    snapshot_digest: str = ""
    note: str = ""
    at: AwareDatetime
    verified_at: AwareDatetime | None = None


class Lease(Record):
    """Who may run turns (or release) for a model, and until when without a beat."""

    model: str
    scope: LeaseScope
    holder: str | None
    token: int
    turn_id: str | None = None
    host: str = ""
    pid: int = 0
    process_started: str = ""
    acquired_at: AwareDatetime
    beat_at: AwareDatetime
    expires_at: AwareDatetime


class TurnStory(Record):
    """All that the ledger knows of one turn."""

    turn: Turn
    decisions: tuple[Decision, ...]
    releases: tuple[Release, ...]
