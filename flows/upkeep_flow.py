"""Upkeep: delete old rows, files and versions, but nothing that a champion or a recent turn needs."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.steps import upkeep as upkeep_steps
from everfit.tasks.steps.context import moment, open_context
from everfit.tasks.steps.run_incidents import on_completion, on_failure
from everfit.tasks.steps.run_names import run_name


@flow(name="upkeep", flow_run_name=run_name("upkeep"), on_failure=on_failure, on_completion=on_completion)
def upkeep(model: str, until: datetime | None = None, dry_run: bool = False) -> State[dict[str, Any]]:
    """Delete what a model's spec no longer keeps, and compact its tables. Turns may run meanwhile.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        until: The time from which ages are counted. By default it is the time for which the run was scheduled.
        dry_run: Only return the planned changes.

    Returns:
        A state named `CleanedUp`, `NothingToDo` or, after a dry run, `Planned`. Its data are the changes, as
        `everfit upkeep --json` prints them.
    """
    context = open_context(model)
    if dry_run:
        plan = upkeep_steps.make_plan(context, moment(until))
        return upkeep_steps.final_state(upkeep_steps.preview(context, plan), dry_run=True)
    return upkeep_steps.final_state(upkeep_steps.clean_up(context, moment(until)), dry_run=False)
