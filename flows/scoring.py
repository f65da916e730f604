"""Batch scoring: predict on a window of the source, into the log that the service writes too."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.answering import feedback
from everfit.tasks.steps import opening
from everfit.tasks.steps.naming import run_name


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
    context = opening.open_context(model)
    window = feedback.scoring_window(context, since, opening.moment(until))
    return feedback.final_state(feedback.score(context, window, again=since is not None, shadow=shadow))
