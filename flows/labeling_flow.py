"""Labeling: collect labels as they become known and join them to their predictions."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.steps import labels
from everfit.tasks.steps.context import open_context
from everfit.tasks.steps.run_incidents import on_completion, on_failure
from everfit.tasks.steps.run_names import run_name


@flow(name="labeling", flow_run_name=run_name("label"), on_failure=on_failure, on_completion=on_completion)
def labeling(model: str, until: datetime | None = None) -> State[dict[str, Any]]:
    """Collect labels from the model's source into its labels table.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        until: Labels that become known after it are ignored. By default it is the time for which the run was scheduled.

    Returns:
        A state named `Labelled`, or `NothingNew` if every label was recorded before.
    """
    context = open_context(model)
    result = labels.collect_labels(context, until)
    return labels.final_state(result)
