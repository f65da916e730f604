"""Report new data in a source, so that a turn can begin."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.steps import arrivals
from everfit.tasks.steps.context import moment, open_context
from everfit.tasks.steps.run_incidents import on_completion, on_failure
from everfit.tasks.steps.run_names import run_name


@flow(name="watch-source", flow_run_name=run_name("watch"), on_failure=on_failure, on_completion=on_completion)
def watch_source(model: str, until: datetime | None = None) -> State[dict[str, Any]]:
    """Emit `everfit.data.arrived` if files, a table or a query have something that no turn has taken; once for each.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        until: Rows of later event time are left out. By default it is the time for which the run was scheduled.

    Returns:
        A state named `DataArrived`, whose data describes the arrival, or `NothingNew`.
    """
    context = open_context(model)
    new = arrivals.find_arrival(context, moment(until))
    arrivals.announce_arrival(context, new)
    return arrivals.final_state(context, new)
