"""Flow runs in the process of the command, and their results."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.output import reporting_wait

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


def run_turn(
    model: str, until: datetime, reason: str, *, replace_broken_champion: bool = False, quiet: bool = True
) -> dict[str, Any]:
    """Run one turn in this process.

    Args:
        model: A spec file, the name of a spec, or of a block.
        until: The time up to which data is known.
        reason: The reason, for the history.
        replace_broken_champion: Whether the challenger may replace a champion that can't be loaded.
        quiet: Whether Prefect's own log lines appear in the UI only.

    Returns:
        The turn, as `everfit train --json` prints it.

    Raises:
        EverfitError: The input is bad, another turn of the model is running, or the turn failed in another process.
    """
    settings = Settings()
    environment.check_addresses(settings)
    environment.prepare(settings, quiet=quiet)
    from everfit.tasks.core.records import Trigger
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.registry.accounts import acting_person
    from everfit.tasks.turns.context import Context
    from everfit.tasks.turns.entitlement import require_role
    from everfit.tasks.turns.turn_record import check_until, turn_json

    until = check_until(until)
    spec = load_spec(model)  # reports a mistake in the spec before a server starts and a turn begins
    name, person = spec.name, acting_person(settings, user_name())
    require_role(Context(spec, settings), "train", person, datetime.now(UTC))
    started_by = person.account or person.name
    trigger = Trigger(reason=reason, by=started_by, replace_broken_champion=replace_broken_champion)
    # One of several commands for the same turn runs it. The others wait here, without a server each.
    with Ledger.open(settings).turns.start(name, trigger.turn_id(name, until)) as finished:
        if finished is not None:
            return turn_json(finished)
        with reporting_wait("starting Prefect and loading libraries"):
            wait_for_server = environment.start_temporary_server()
            from everfit.flows.training_flow import training

            wait_for_server()
        state = training(model, until, trigger, return_state=True)
        return result_of(state)


def run(
    model: str,
    until: datetime,
    flow: Callable[[], Any],
    *,
    quiet: bool,
    imports: Sequence[str] = environment.TRAINING,
    warm: Callable[[], object] | None = None,
) -> tuple[str, dict[str, Any]]:
    """Run a flow in this process, with a temporary Prefect server if none is configured.

    Args:
        model: A spec file, the name of a spec, or of a block.
        until: The time up to which data is known.
        flow: Runs the flow and returns its final state.
        quiet: Whether Prefect's own log lines appear in the UI only.
        imports: Modules that the flow imports anyway, and that are imported while the server starts.
        warm: Starts other work while the server starts.

    Returns:
        The name of the final state, and its result.

    Raises:
        EverfitError: The input is bad; nothing was changed.
    """
    settings = Settings()
    environment.check_addresses(settings)
    environment.prepare(settings, quiet=quiet)
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.turns.turn_record import check_until

    check_until(until)
    load_spec(model)  # reports a mistake in the spec before a server starts
    with reporting_wait("starting Prefect and loading libraries"):
        wait_for_server = environment.start_temporary_server(imports)
        if warm is not None:
            warm()
        wait_for_server()
    state = flow()
    return str(state.name), result_of(state)


def warm_up(model: str) -> None:
    """Import the libraries of a monitoring run, and start the process that draws reports if the model has reports."""
    from everfit.tasks.core.spec_loading import file_content
    from everfit.tasks.monitoring.report import report_process

    content = file_content(model)  # a server with a stored spec may still be starting
    if content is None or content.monitoring.report != "never":
        report_process.warm_up()
    import mlflow.sklearn

    from everfit.flows import monitoring_flow

    del mlflow, monitoring_flow


def result_of(state: "State[Any]") -> dict[str, Any]:
    """Return the result of a flow, whatever the name of its final state.

    Raises:
        BaseException: The error that the flow raised.
    """
    from everfit.tasks.core.final_states import found_by

    result = found_by(state) if state.data is None else None
    if result is None:
        result = state.result(raise_on_failure=False)  # rejected data is a failure with a result
    if isinstance(result, BaseException):
        raise result
    if not isinstance(result, dict):
        raise TypeError(f"the flow ended as {state.name!r} without a result; see its run in Prefect")
    return result
