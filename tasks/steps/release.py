"""A rollback to a former champion, and the repair of an interrupted release."""

from datetime import UTC, datetime
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from everfit.tasks.core.event_names import RELEASE_ROLLED_BACK
from everfit.tasks.core.events import emit
from everfit.tasks.core.people import Person
from everfit.tasks.ledger import Release
from everfit.tasks.release import approvals, registry_watch, release
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.entitlement import require_role

logger = step_logger("everfit.release")

AGREED = "ledger and registry agreed already"
"""The message of a repair that had nothing to do."""


@step("decision", log="rollback")
def roll_back(context: Context, *, to: int | None = None, reason: str, by: str) -> Release:
    """Make a former version the champion again, after a check that it loads and answers.

    Args:
        context: The model, as `open_context` returns it.
        to: The version to go back to; by default the champion before the present one.
        reason: Why, for the history.
        by: Name of the person who decided.

    Returns:
        The release, as the ledger has it.

    Raises:
        LedgerError: There is no such version to go back to.
        ModelError: The version can't be loaded, or doesn't answer.
        RoleError: The roles in the spec name others.

    Example:
        >>> entry = everfit.tasks.roll_back(context, reason="customers complain", by="Ada")
        >>> entry.kind
        'rollback'
    """
    spec, person = context.spec, Person(name=by)
    require_role(context, "roll_back", person, datetime.now(UTC))
    return release.rollback(
        context.ledger, context.mlflow, spec.name, to=to, reason=reason, actor=person.signed, policy=spec.release
    )


@step("decision")
def reconcile(context: Context) -> list[str]:
    """Repair an interrupted release, record a champion that was set by hand, and expire stale approvals.

    Args:
        context: The model, as `open_context` returns it.

    Returns:
        A sentence for each change; empty if ledger and registry agreed.

    Raises:
        BusyError: Another process is releasing a version of the model.

    Example:
        >>> everfit.tasks.reconcile(everfit.tasks.open_context("deliveries"))
        []
    """
    actions = approvals.reconcile(context, datetime.now(UTC))
    for action in actions:
        logger.warning("%s: %s", context.spec.name, action)
    return actions


@step("decision", log="reconcile")
def look_at_registry(context: Context, actions: list[str]) -> None:
    """Notify people of what was changed in MLflow, and of versions, runs and experiments that were deleted there."""
    registry_watch.notify_of_registry(context, registry_watch.read_sight(context), actions)


def rolled_back(entry: Release) -> State[dict[str, Any]]:
    """Emit the event of a rollback, and return the flow's final state."""
    emit(RELEASE_ROLLED_BACK, entry.model, release=entry)
    was = f" after version {entry.previous_version}" if entry.previous_version is not None else ""
    message = f"version {entry.version} is the champion of {entry.model} again{was}: {entry.reason}"
    return Completed(name="RolledBack", message=message[:500], data=entry.model_dump(mode="json"))


def reconciled(actions: list[str]) -> State[list[str]]:
    """Return the flow's final state, which lists what was done."""
    message = "; ".join(actions) or AGREED
    return Completed(name="Reconciled", message=message[:500], data=actions)
