"""Check the challenger that is on trial: continue, release it, or end the trial."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.steps import trial as trial_steps
from everfit.tasks.steps.context import moment, open_context
from everfit.tasks.steps.labels import collect_labels
from everfit.tasks.steps.run_incidents import on_completion, on_failure
from everfit.tasks.steps.run_names import run_name


@flow(name="trial", flow_run_name=run_name("trial"), on_failure=on_failure, on_completion=on_completion)
def trial(model: str, until: datetime | None = None) -> State[dict[str, Any]]:
    """Compare both arms of a trial on live traffic, then continue, release the challenger or end the trial.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        until: Only data known at this time counts. By default it is the time for which the run was scheduled.

    Returns:
        A state named `NoTrial`, `OnTrial` while it continues, or `Promoted`, `Returned` or `Superseded` at its end.
    """
    context = open_context(model)
    until = moment(until)
    collect_labels(context, until)
    result = trial_steps.advance_trial(context, until)
    return trial_steps.final_state(context, result)
