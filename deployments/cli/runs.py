"""Running flows from the command line, and reading back what they left."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


def train(model: str, until: datetime, reason: str, *, quiet: bool = True) -> dict[str, Any]:
    """Run one turn in this process.

    Args:
        model: A spec file, the name of a spec, or of a block.
        until: What is known at this moment.
        reason: Why, for whoever reads the history.
        quiet: Whether Prefect's own log lines are left to the UI.

    Returns:
        The turn, as `everfit train --json` prints it.

    Raises:
        EverfitError: the input is bad, another turn of the model is run, or the turn failed in another call.
    """
    settings = Settings()
    environment.prepare(settings, quiet=quiet)
    from everfit.tasks.core.records import Trigger
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.turns.turn_record import check_until, summary

    until, trigger = check_until(until), Trigger(reason=reason)
    name = load_spec(model).name  # a mistake in the spec is told before a server is started and a turn begun
    # Of many calls for the same turn one runs it. The others wait here: each a server of its own would be too much.
    with Ledger.open(settings).turns.start(name, trigger.turn_id(name, until)) as ended:
        if ended is not None:
            return summary(ended)
        server_is_up = environment.start_temporary_server()
        from everfit.flows.training_flow import training

        server_is_up()
        state = training(model, until, trigger, return_state=True)
        return result_of(state)


def result_of(state: "State[Any]") -> dict[str, Any]:
    """What a flow ended with, whatever the state's name.

    Raises:
        BaseException: what the flow raised, if it did.
    """
    from everfit.tasks.core.final_states import found_by

    found = found_by(state) if state.data is None else None
    if found is None:
        found = state.result(raise_on_failure=False)  # rejected data is a failure, and has a result all the same
    if isinstance(found, BaseException):
        raise found
    if not isinstance(found, dict):
        raise TypeError(f"the flow ended as {state.name!r} without a result; look at its run in Prefect")
    return found


def history(model: str) -> dict[str, Any]:
    """The turns and releases of a model, oldest first.

    Raises:
        EverfitError: there is no ledger, or no such model.
    """
    settings = Settings()
    from everfit.tasks.ledger import Ledger

    ledger = Ledger.open_existing(settings)  # first of all: who only reads makes no folder either
    environment.prepare(settings)
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.turns.turn_record import summary

    name = load_spec(model).name
    return {
        "model": name,
        "turns": [summary(turn) for turn in ledger.turns.of(name)],
        "releases": [
            {
                "seq": entry.seq,
                "version": entry.version,
                "previous": entry.previous_version,
                "reason": entry.reason,
                "actor": entry.actor,
                "at": entry.at.isoformat(),
                "turn_id": entry.turn_id,
                "kind": entry.kind,
                "state": entry.state,
            }
            for entry in ledger.releases.of(name)
        ],
    }
