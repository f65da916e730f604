"""Batch scoring: predict on a window of the source, into the prediction log that the service uses too."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.steps import scoring as scoring_steps
from everfit.tasks.steps.context import open_context
from everfit.tasks.steps.run_incidents import on_completion, on_failure
from everfit.tasks.steps.run_names import run_name


@flow(name="scoring", flow_run_name=run_name("score"), on_failure=on_failure, on_completion=on_completion)
def scoring(
    model: str, since: datetime | None = None, until: datetime | None = None, shadow: bool = False
) -> State[dict[str, Any]]:
    """Predict on the rows of a window with the champion.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        since: Beginning of the window. If omitted, where earlier batches ended, less the source's look-back.
        until: End of the window. By default it is the time for which the run was scheduled.
        shadow: Let the challenger predict too; its predictions are logged beside the champion's.

    Returns:
        A state named `Scored`, or `NothingNew` if the log had all predictions before.
    """
    context = open_context(model)
    result = scoring_steps.score(context, since, until, shadow=shadow)
    return scoring_steps.final_state(result)
