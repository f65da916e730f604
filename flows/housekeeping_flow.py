"""The work that an installation needs now and then, for all its models in one run."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.steps import housekeeping as house
from everfit.tasks.steps.context import moment
from everfit.tasks.steps.housekeeping import Housework


@flow(name="housekeeping", flow_run_name="housekeeping-{work}")
def housekeeping(
    work: Housework = "reconcile", models: list[str] | None = None, until: datetime | None = None
) -> State[dict[str, Any]]:
    """Reconcile, check the services, or clean up, for every model that has no schedule of its own for that.

    Args:
        work: The work: `reconcile`, `service_check` or `upkeep`, as the flows of these names do it for one model.
        models: The names of the models. By default all specs of `deployments/models`.
        until: The moment from which ages are counted. By default it is the time for which the run was scheduled.

    Returns:
        A state named `Done`, `SomeFailed` if the work failed for a model, whose incident says why, or `NotDone`, a
        failure, if a model's spec can't be read.
    """
    until = moment(until)
    results = {name: house.do_for(name, work, until) for name in house.models_of(models)}
    return house.final_state(results)
