"""Check that the prediction services answer with the champion of the ledger."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.steps import service_check as services
from everfit.tasks.steps.context import open_context
from everfit.tasks.steps.run_incidents import on_completion, on_failure
from everfit.tasks.steps.run_names import run_name


@flow(name="service-check", flow_run_name=run_name("check"), on_failure=on_failure, on_completion=on_completion)
def service_check(model: str) -> State[dict[str, Any]]:
    """Ask the registry and the prediction services which version they serve, and compare with the ledger.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.

    Returns:
        A state named `Served`, `NoChampion`, or `NotServed`, a failure.
    """
    context = open_context(model)
    release = services.newest_release(context)
    problem = services.compare_services(context, release)
    return services.final_state(context, release, problem)
