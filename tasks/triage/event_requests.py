"""Whether a turn may start that an event asks for, and no triage: data that came, code that was merged. Pure."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import AwareDatetime

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Record, TriggerKind
from everfit.tasks.triage.admission import TurnRequest, admit
from everfit.tasks.triage.history import PastTurn
from everfit.tasks.triage.signals import CodeSignal


class Asked(Record):
    """A turn that an event asks for.

    Attributes:
        model: Name of the model.
        kind: Of the trigger.
        until: Up to when data is known.
        attempts: How often this very turn has been begun, and broken off.
        code: For `code`: what has changed since the champion was trained, or that it isn't known.
    """

    model: str
    kind: TriggerKind
    until: AwareDatetime
    code: CodeSignal = CodeSignal()
    attempts: int = 0


class Reply(Record):
    """Whether the turn may start, and why or why not."""

    admitted: bool
    reason: str


def reply(asked: Asked, past: Sequence[PastTurn], newest: datetime, policy: RetrainingPolicy) -> Reply:
    """Decide whether a turn may start that an event asks for.

    The same limits hold as for a turn that triage calls for; and merged code calls for one only where the spec says
    that it does, and something may have changed that the model depends on.

    Args:
        asked: What is asked for.
        past: All turns of the model, running ones included.
        newest: End of the newest window that monitoring has judged.
        policy: What calls for a turn, cooldown and budget.
    """
    if asked.kind == "code" and past:
        if not policy.code:
            return Reply(admitted=False, reason="merged code calls for no turn: the spec's retraining.code is off")
        if asked.code.measured and not asked.code.changed:
            return Reply(admitted=False, reason="neither spec nor packages have changed since the champion was trained")
    names = {"reference": "", "signature": ""}
    request = TurnRequest.model_validate({**asked.model_dump(include={"model", "kind", "until", "attempts"}), **names})
    admission = admit(request, past, max(newest, asked.until), policy)
    return Reply(admitted=admission.admitted, reason=admission.reason)
