"""The records of the ledger: one frozen record for each kind of row."""

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from everfit.blocks.notifying import Severity
from everfit.tasks.core.records import Record, Trigger, Window

RUNNING = "running"
FAILED = "failed"
AWAITING_APPROVAL = "AwaitingApproval"
ON_TRIAL = "OnTrial"

ReleaseKind = Literal["promotion", "rollback", "outside"]
ReleaseState = Literal["intent", "alias_set", "verified", "undone"]
LeaseScope = Literal["start", "turn", "release", "rollback", "scoring", "pages"]


class Turn(Record):
    """One pass of the loop: its trigger, its evidence and its decision.

    Attributes:
        state: `running`, `failed`, or the name of the flow's final state (`Promoted`, `ChampionKept`, …).
        record: All evidence of the turn, as JSON.
        attempt: 1 for the first run, one more for each retry of an unfinished or failed turn.
        fence: Token of the lease under which the turn runs. A process with an older token may no longer write.
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
        """Whether the turn has ended; a settled turn is never run again."""
        return self.state not in {RUNNING, FAILED}


class Decision(Record):
    """A decision of the gate, of triage or of a person, with its evidence."""

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
    """A champion change, and the training data of the new champion (its reference).

    Attributes:
        seq: Number of the release, from 1, per model.
        state: `intent` (recorded, nothing changed yet), `alias_set`, `verified` (it is served), or `undone`.
        run_id: MLflow run that trained the version; it holds the reference sample and profile.
        snapshot_digest: Digest of the training data.
        note: Remark of the reconciler or of the serving verification.
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


class RecordedArtifacts(Record):
    """The digests of a version's files, as the ledger recorded them.

    Attributes:
        run_id: MLflow run of the version; the registry reuses the number of a deleted last version.
        seq: 1 for the first record, one more for each change that a person has asked for.
        files: SHA-256 by name of the file: `model/…`, `reference/…` or `converted/…`.
        reason: Why it was recorded, such as the registration.
        actor: Name of the person or part of everfit that recorded it.
    """

    model: str
    version: int
    run_id: str
    seq: int
    files: dict[str, str]
    reason: str = ""
    actor: str = ""
    at: AwareDatetime


class SentMessage(Record):
    """A message about an incident, to one receiver.

    Attributes:
        kind: Why it was sent, such as `opened`.
        to: The notification block, as `type/name`.
        error: Why it did not arrive; empty if it did.
    """

    at: AwareDatetime
    kind: str
    to: str
    error: str = ""


class Incident(Record):
    """Something that a person should know about a model, from its first sign to its end.

    Attributes:
        subject: The subject, such as `window`; a model has at most one open incident of a subject.
        alert: The newest alert, as JSON.
        looks: How many looks have shown it.
        quiet: How many looks in a row have not shown it.
        last_key: The look that was counted last, so that a repeated look counts once.
        notified_at: When people were last notified, by the time of the looks.
        due: The kind of message that is to be sent and has not reached all receivers; empty if none is.
        delivered: The receivers that have the message that is due.
        messages: The newest messages.
    """

    id: str
    model: str
    seq: int
    subject: str
    state: Literal["open", "closed"]
    severity: Severity
    opened_at: AwareDatetime
    updated_at: AwareDatetime
    closed_at: AwareDatetime | None = None
    seen_by: str = ""
    seen_until: AwareDatetime | None = None
    alert: dict[str, Any] = Field(default_factory=dict)
    looks: int = 1
    quiet: int = 0
    last_key: str = ""
    notified_at: AwareDatetime | None = None
    due: str = ""
    delivered: tuple[str, ...] = ()
    messages: tuple[SentMessage, ...] = ()


class Lease(Record):
    """The right of one process to run turns or to release for a model, until it expires."""

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
    """One turn with its decisions and releases."""

    turn: Turn
    decisions: tuple[Decision, ...]
    releases: tuple[Release, ...]
