"""Batch scoring: predict on a window of the source, into the log that the service writes too."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.batch import feedback
from everfit.tasks.steps.context import moment, open_context
from everfit.tasks.steps.run_names import run_name


@flow(name="scoring", flow_run_name=run_name("score"))
def scoring(
    model: str, since: datetime | None = None, until: datetime | None = None, shadow: bool = False
) -> State[dict[str, Any]]:
    """Predict on the rows of a window with the champion.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        since: Beginning of the window; by default where the batches have come to, less the source's look-back.
        until: End of the window; by default when the run was due.
        shadow: Let the challenger predict too; its predictions are logged beside the champion's.

    Returns:
        A state named `Scored`, or `NothingNew` when the log had all predictions already.
    """
    context = open_context(model)
    window = feedback.scoring_window(context, since, moment(until))
    return feedback.final_state(feedback.score(context, window, again=since is not None, shadow=shadow))
