"""A turn that is open: the one thing that a flow hands from step to step.

It carries its model's context, keeps its own record in the ledger, and ends as a Prefect state.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from everfit.blocks.errors import EverfitError, LedgerError
from everfit.tasks.core.event_names import DATA_REJECTED, TURN_FINISHED
from everfit.tasks.core.events import emit
from everfit.tasks.core.final_states import ended
from everfit.tasks.core.processor_time import ProcessorClock
from everfit.tasks.core.records import Window
from everfit.tasks.ledger import Turn
from everfit.tasks.registry.own_code import code_name
from everfit.tasks.steps import approval as approval_steps
from everfit.tasks.steps.artifacts import leave_turn
from everfit.tasks.steps.step import step
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.turn_record import TurnRecord


class OpenTurn:
    """An open turn of the loop, small enough to be sent to another process.

    Attributes:
        context: The model, its workspace, ledger and registry.
        entry: The turn's row in the ledger, read when the turn was opened and when it ended.

    Example:
        >>> with everfit.tasks.open_turn("deliveries", reason="only checking", until=UNTIL) as turn:
        ...     batch = everfit.tasks.ingest(turn)
        ...     validation = everfit.tasks.validate(turn, batch)
        ...     state = turn.end("Checked", validation.reasons)
        >>> turn.settled
        True
    """

    def __init__(self, context: Context, entry: Turn) -> None:
        self.context = context
        self.entry = entry
        self._clock, self._used_before = ProcessorClock(), entry.record.get("processor_seconds") or 0.0

    @property
    def id(self) -> str:
        """Id of the turn: the model, `until` and a digest of the trigger."""
        return self.entry.id

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.entry.model

    @property
    def until(self) -> datetime:
        """End of the turn's window; the turn uses nothing that became known later."""
        return self.entry.window.until

    @property
    def window(self) -> Window:
        """The span of event time that the turn covers."""
        return self.entry.window

    @property
    def settled(self) -> bool:
        """Whether the turn has ended, now or in an earlier run of the same trigger. Such a turn does not run again."""
        return self.entry.settled

    @property
    def state(self) -> str:
        """`running`, or the name of its final state."""
        return self.entry.state

    @property
    def record(self) -> TurnRecord:
        """The results of its steps so far, read from the ledger."""
        return TurnRecord.recall(self.context.ledger.turns.get(self.id).record)

    def keep(self, **parts: Any) -> None:
        """Add parts to the turn's record; the steps do so with their results.

        Args:
            **parts: Fields of `TurnRecord`.

        Raises:
            BusyError: Another process has taken the turn over.
            LedgerError: The turn has ended.
        """
        content = TurnRecord(**parts).model_dump(mode="json")
        self.context.ledger.turns.keep(self.entry, {name: content[name] for name in parts})

    def keep_own_code(self, function: Callable[..., Any]) -> None:
        """Record which package or file a function of the user's own is in, because it changes the turn's result.

        Args:
            function: The function of the flow, or one that it gave to a step.
        """
        name, known = code_name(function), self.record.own_modules
        if name is not None and name not in known:
            self.keep(own_modules=tuple(sorted({*known, name})))

    def keep_processor_time(self) -> None:
        """Add the processor time so far to the turn's record, if the turn began in this process.

        A turn that has ended, or that another process has taken over, stays as it is.
        """
        if (used := self._clock.seconds()) is not None:
            with suppress(EverfitError):
                self.keep(processor_seconds=round(self._used_before + used, 1))

    def end(self, state: str, reasons: Sequence[str] | str = ()) -> State[dict[str, Any]]:
        """End the turn, and return the final state for its flow to return.

        A name that everfit does not know is recorded as `other`. Triage counts such a turn neither as a kept champion,
        nor as a retraining that helped, nor as a failure.

        Args:
            state: `DataRejected` or `NothingNew`, what `release_challenger` returned, or a name of your own.
            reasons: The reasons in words, for the readers of the history.

        Raises:
            BusyError: Another process has taken the turn over.
            LedgerError: The turn ended in another state before, or the state is not true.
        """
        given = (reasons,) if isinstance(reasons, str) else tuple(reasons)
        self.entry = end_turn(self, state, given)
        return self.final_state()

    def final_state(self) -> State[dict[str, Any]]:
        """Return the Prefect state of a turn that has ended; only rejected data is a failure.

        Its data is the turn as `everfit train --json` prints it.
        """
        kind = Failed if self.state == turn_record.DATA_REJECTED else Completed
        message = "; ".join(self.entry.reasons)[:500]
        return ended(kind(name=self.state, message=message, data=turn_record.turn_json(self.entry)))

    def check_open(self) -> None:
        """Refuse to continue a turn that has ended.

        Raises:
            LedgerError: The turn has ended.
        """
        if self.settled:
            raise LedgerError(
                f"turn {self.id!r} ended as {self.state!r} already; begin with `if turn.settled: return "
                "turn.final_state()`, or give another reason or until for another turn"
            )

    def __repr__(self) -> str:
        return f"OpenTurn({self.id!r}, {self.state!r})"


@step("decision", log="turn")
def end_turn(turn: OpenTurn, state: str, reasons: tuple[str, ...]) -> Turn:
    """Settle the turn in the ledger, and show the decision and its reasons.

    Args:
        turn: The turn, still open.
        state: As `OpenTurn.end` takes it.
        reasons: The reasons in words.

    Returns:
        The turn's row in the ledger.

    Raises:
        LedgerError: The state is not true.
    """
    context, decision = turn.context, turn.record.decision
    _check_claim(turn, state)
    turn.keep_processor_time()
    try:
        settled = context.ledger.turns.finish(
            turn.entry,
            state=state,
            verdict=None if decision is None else decision.verdict,
            reasons=reasons,
            seconds=round(time.time() - turn.entry.started_at.timestamp(), 1),
        )
    except LedgerError as error:
        if state != turn_record.PROMOTED:
            raise
        raise LedgerError(
            f"the challenger of turn {turn.id!r} is the champion, and only the end of the turn could not be recorded: "
            f"{error}"
        ) from error
    artifact = leave_turn(context, settled)
    emit(TURN_FINISHED, turn.model, turn_id=turn.id, state=state, reasons=list(reasons))
    if state == turn_record.DATA_REJECTED:
        emit(DATA_REJECTED, turn.model, turn_id=turn.id, reasons=list(reasons))
    if state == turn_record.AWAITING_APPROVAL:
        approval_steps.announce(context, settled, artifact)
    return settled


def _check_claim(turn: OpenTurn, state: str) -> None:
    """Refuse the name of a decision that was not made, because others would act on it."""
    undecided = state in turn_record.JUDGED | {turn_record.SUPERSEDED} and turn.record.decision is None
    unreleased = state == turn_record.PROMOTED and turn.context.ledger.releases.of_turn(turn.id) is None
    if undecided or unreleased:
        missing = "the gate has not decided" if undecided else "nothing was released"
        raise LedgerError(
            f"turn {turn.id!r} can't end as {state!r}: {missing}; end it by what `release_challenger` returns, or "
            "under a name of your own"
        )
