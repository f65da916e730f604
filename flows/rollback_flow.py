"""Go back to a former champion."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.steps import release as release_steps
from everfit.tasks.steps.context import open_context
from everfit.tasks.steps.run_incidents import on_completion, on_failure
from everfit.tasks.steps.run_names import run_name


@flow(name="rollback", flow_run_name=run_name("rollback"), on_failure=on_failure, on_completion=on_completion)
def rollback(model: str, reason: str, to: int | None = None, by: str = "unknown") -> State[dict[str, Any]]:
    """Make a former version the champion again, after a check that it loads and answers.

    A running turn doesn't delay it. The challenger of that turn is not released, since it was compared with another
    champion.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        reason: Why, for the history.
        to: The version to go back to; by default the champion before the present one.
        by: The person or process that decides.

    Returns:
        A state named `RolledBack`, whose data is the release.
    """
    context = open_context(model)
    entry = release_steps.roll_back(context, to=to, reason=reason, by=by)
    return release_steps.rolled_back(entry)
