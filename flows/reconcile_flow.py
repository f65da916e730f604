"""Repair what a crash has left, and follow a champion that was set by hand."""

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.steps import release as release_steps
from everfit.tasks.steps.context import open_context
from everfit.tasks.steps.run_incidents import on_completion, on_failure
from everfit.tasks.steps.run_names import run_name


@flow(name="reconcile", flow_run_name=run_name("reconcile"), on_failure=on_failure, on_completion=on_completion)
def reconcile(model: str) -> State[list[str]]:
    """Make ledger and registry agree on the champion; a turn and an answer to an approval begin with this as well.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.

    Returns:
        A state named `Reconciled`, whose data is what was done, in words.
    """
    context = open_context(model)
    actions = release_steps.reconcile(context)
    release_steps.look_at_registry(context, actions)
    return release_steps.reconciled(actions)
