"""The model that a flow is about, and the moment that it looks at."""

import logging
from datetime import UTC, datetime

from prefect import runtime

from everfit.blocks.settings import Settings
from everfit.tasks.core.extensions import use_own_modules
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.registry import mlflow_client
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.accepted_copy import publish_accepted
from everfit.tasks.turns.accepted_spec import require_accepted
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.training")


def open_context(model: str) -> Context:
    """Load a model's spec, and find its workspace, ledger and registry by the settings.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.

    Returns:
        The context, for the steps that need no turn.

    Raises:
        SpecError: There is no such model, or its spec is wrong.
        RoleError: The spec was edited, and nobody with the right to edit it has accepted that.

    Example:
        >>> context = everfit.tasks.open_context("deliveries")
        >>> context.spec.name
        'deliveries'
    """
    context = find_context(model)
    require_accepted(context.ledger, context.spec)
    publish_accepted(context.ledger, context.workspace, context.spec.name)
    return context


def find_context(model: str) -> Context:
    """Return the same without asking whether the spec is accepted, for what only reports that a flow was refused.

    Args:
        model: As `open_context` takes it.

    Raises:
        SpecError: There is no such model, or its spec is wrong.
    """
    use_own_modules()
    settings = Settings()
    mlflow_client.use_tracking(settings)
    return Context(load_spec(model), settings)


def moment(until: datetime | None) -> datetime:
    """Return the end of the turn's window: the one given, or the time for which the flow run was scheduled."""
    return turn_record.check_until(until or runtime.flow_run.scheduled_start_time or datetime.now(UTC))
