"""Going back to a former champion, and putting right what a crash has left, as Prefect tasks."""

import logging
from datetime import UTC, datetime
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from everfit.tasks.core.event_names import RELEASE_ROLLED_BACK
from everfit.tasks.core.events import emit
from everfit.tasks.ledger import Release
from everfit.tasks.release import approvals, release
from everfit.tasks.steps.step import step
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.release")


@step("decision")
def roll_back(context: Context, to: int | None, why: str, by: str) -> Release:
    """Load and probe the former champion, then release it."""
    spec = context.spec
    return release.rollback(context.ledger, context.mlflow, spec.name, to=to, reason=why, actor=by, policy=spec.release)


@step("decision")
def reconcile(context: Context) -> list[str]:
    """Put right what a crash has left of a release, record a champion set by hand, and end what waits no more."""
    done = approvals.reconcile(context, datetime.now(UTC))
    for action in done:
        logger.warning("%s: %s", context.spec.name, action)
    return done


def rolled_back(entry: Release) -> State[dict[str, Any]]:
    """Tell those who listen, and name the flow's final state."""
    emit(RELEASE_ROLLED_BACK, entry.model, release=entry)
    was = f" after version {entry.previous_version}" if entry.previous_version is not None else ""
    message = f"version {entry.version} is the champion of {entry.model} again{was}: {entry.reason}"
    return Completed(name="RolledBack", message=message[:500], data=entry.model_dump(mode="json"))


def reconciled(done: list[str]) -> State[list[str]]:
    """Name the flow's final state, which says what was done."""
    message = "; ".join(done) or "ledger and registry agreed already"
    return Completed(name="Reconciled", message=message[:500], data=done)
