"""Upkeep: take away what nobody needs any more, and nothing that a champion or a turn was made from."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.steps import upkeep as tidy
from everfit.tasks.steps.context import moment, open_context
from everfit.tasks.steps.run_names import run_name


@flow(name="upkeep", flow_run_name=run_name("upkeep"))
def upkeep(model: str, until: datetime | None = None, dry_run: bool = False) -> State[dict[str, Any]]:
    """Keep a model's tables, files and versions to what its spec keeps; turns may run meanwhile.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        until: Ages are counted back from this moment; by default from when the run was due.
        dry_run: Only tell what would be done.

    Returns:
        A state named `TidiedUp`, `NothingToDo` or, of a dry run, `Planned`. Its data is what was done, as
        `everfit upkeep --json` prints it.
    """
    context = open_context(model)
    plan = tidy.make_plan(context, moment(until))
    if dry_run:
        return tidy.final_state(tidy.foresee(context, plan), dry_run=True)
    rows = tidy.remove_old_rows(context, plan)
    days = tidy.compact(context, plan)
    files = tidy.remove_expired_files(context, plan)
    versions = tidy.drop_versions(context, plan)
    turn_files = tidy.drop_files(context, plan)
    done = tidy.write_down(context, plan, rows, days, files, versions, turn_files)
    return tidy.final_state(done, dry_run=False)
