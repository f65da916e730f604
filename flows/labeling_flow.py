"""Labeling: take what has come true, so that it finds its predictions."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.batch import feedback
from everfit.tasks.steps.context import moment, open_context
from everfit.tasks.steps.run_names import run_name


@flow(name="labeling", flow_run_name=run_name("label"))
def labeling(model: str, until: datetime | None = None) -> State[dict[str, Any]]:
    """Take labels from the model's source into its labels table.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        until: What is known at this moment is all that is known; by default when the run was due.

    Returns:
        A state named `Labelled`, or `NothingNew`.
    """
    context = open_context(model)
    window = feedback.labels_window(context, moment(until))
    return feedback.final_state(feedback.record_labels(context, window))
