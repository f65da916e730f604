"""Whether a turn may start that an event requests without triage: new data, merged code. Pure."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import AwareDatetime

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Record, TriggerKind
from everfit.tasks.triage.admission import Admission, TurnRequest, admit
from everfit.tasks.triage.history import PastTurn
from everfit.tasks.triage.signals import CodeSignal


class EventRequest(Record):
    """A turn that an event requests.

    Attributes:
        model: The model's name.
        kind: The kind of the trigger.
        until: Data is known up to here.
        attempts: How often this turn was started and failed.
        code: For merged code: what has changed since the champion was trained, if that is known.
    """

    model: str
    kind: TriggerKind
    until: AwareDatetime
    code: CodeSignal = CodeSignal()
    attempts: int = 0


def admit_event(
    request: EventRequest, past_turns: Sequence[PastTurn], newest: datetime, policy: RetrainingPolicy
) -> Admission:
    """Decide whether a turn may start that an event requests.

    The limits are those of a turn that triage calls. Merged code starts a turn only if the spec says so
    (`retraining.code`), and if spec or packages may have changed.

    Args:
        request: The requested turn.
        past_turns: All turns of the model, running ones included.
        newest: End of the newest monitored window.
        policy: Cooldown, budget and whether code starts a turn.
    """
    if request.kind == "code" and past_turns:
        if not policy.code:
            return _refused("merged code starts no turn, because the spec's retraining.code is off")
        if request.code.measured and not request.code.changed:
            return _refused("neither spec nor packages have changed since the champion was trained")
    turn = TurnRequest(
        model=request.model,
        kind=request.kind,
        until=request.until,
        attempts=request.attempts,
        reference="",
        signature="",
    )
    return admit(turn, past_turns, max(newest, request.until), policy)


def _refused(reason: str) -> Admission:
    return Admission(admitted=False, reason=reason)
