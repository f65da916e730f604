"""Upkeep as Prefect tasks: each a thin layer over the function that does it."""

from datetime import datetime
from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from everfit.tasks.core.final_states import ended
from everfit.tasks.retention import housekeeping, table_upkeep
from everfit.tasks.retention.housekeeping import TABLES
from everfit.tasks.retention.upkeep_plan import TablePlan, UpkeepPlan, plan
from everfit.tasks.retention.upkeep_record import UpkeepDone, record_upkeep, upkeep_page, worth_recording
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.storage.workspace import TableName
from everfit.tasks.turns.context import Context

logger = step_logger("everfit.upkeep")

PLANNED, TIDIED, NOTHING_TO_DO = "Planned", "TidiedUp", "NothingToDo"
"""Names of the flow's final states."""


@step("network", log="upkeep")
def make_plan(context: Context, at: datetime) -> UpkeepPlan:
    """Find out what there is, and decide what may go."""
    return plan(housekeeping.gather(context, at), context.spec.upkeep)


@step("network", log="upkeep")
def foresee(context: Context, planned: UpkeepPlan) -> UpkeepDone:
    """Tell what would be done, and do nothing."""
    expired = {name: _expired(context, name, planned) for name in TABLES}
    broken = housekeeping.broken_turns(context, frozenset(expired["dataset"]))
    return UpkeepDone(
        model=planned.model,
        at=planned.at,
        rows={table.name: table.rows for table in planned.tables},
        days={table.name: table.days for table in planned.tables},
        files={name: len(files) for name, files in expired.items()},
        versions=planned.drop_versions,
        turn_files=len(housekeeping.files_to_drop(context, planned)),
        broken_turns=tuple(broken),
    )


@step("network", log="upkeep")
def remove_old_rows(context: Context, planned: UpkeepPlan) -> dict[str, int]:
    """Remove the rows that are older than the spec keeps them."""
    return {table.name: _remove_old_rows(context, table) for table in planned.tables}


def _remove_old_rows(context: Context, planned: TablePlan) -> int:
    if planned.remove_before is None:
        return 0
    table = context.workspace.table(context.spec.name, planned.name)
    return table_upkeep.remove_before(table, planned.name, planned.remove_before)


@step("network", log="upkeep")
def compact(context: Context, planned: UpkeepPlan) -> dict[str, int]:
    """Make one file of the small ones of each day."""
    for table in planned.tables:
        if table.days:
            table_upkeep.compact(context.workspace.table(context.spec.name, table.name))
    return {table.name: table.days for table in planned.tables}


@step("network", log="upkeep")
def remove_expired_files(context: Context, planned: UpkeepPlan) -> dict[str, int]:
    """Remove the files that no state that is kept needs."""
    return {
        name: table_upkeep.remove_expired_files(
            context.workspace,
            context.workspace.table(context.spec.name, name),
            context.spec.upkeep.history,
            _kept(name, planned),
        )
        for name in TABLES
    }


def _expired(context: Context, name: TableName, planned: UpkeepPlan) -> list[str]:
    table = context.workspace.table(context.spec.name, name)
    return table_upkeep.expired_files(context.workspace, table, context.spec.upkeep.history, _kept(name, planned))


def _kept(name: TableName, planned: UpkeepPlan) -> tuple[int, ...]:
    return planned.keep_snapshots if name == "dataset" else ()


@step("network", log="upkeep")
def drop_versions(context: Context, planned: UpkeepPlan) -> list[int]:
    """Take versions that nobody can go back to from the registry."""
    return housekeeping.drop_versions(context, planned)


@step("network", log="upkeep")
def drop_files(context: Context, planned: UpkeepPlan) -> int:
    """Take away what turns that are over have left for their own steps."""
    return housekeeping.remove_files(context.workspace, housekeeping.files_to_drop(context, planned))


@step("decision", log="upkeep")
def write_down(  # noqa: PLR0917 - each is what a step has done
    context: Context,
    planned: UpkeepPlan,
    rows: dict[str, int],
    days: dict[str, int],
    files: dict[str, int],
    versions: list[int],
    turn_files: int,
) -> UpkeepDone:
    """Keep what was done in the ledger, and tell which turns can't be reproduced any more."""
    done = UpkeepDone(
        model=planned.model,
        at=planned.at,
        rows=rows,
        days=days,
        files=files,
        versions=tuple(versions),
        turn_files=turn_files,
        broken_turns=tuple(housekeeping.broken_turns(context)),
    )
    record_upkeep(context.ledger, done)
    if worth_recording(done):
        logger.info("%s", "; ".join(done.told()))
        create_markdown_artifact(upkeep_page(done), key=f"{done.model}-upkeep")
    return done


def final_state(done: UpkeepDone, *, dry_run: bool) -> State[dict[str, Any]]:
    """Name the flow's final state, which says what was done, or would be."""
    name = PLANNED if dry_run else TIDIED if worth_recording(done) else NOTHING_TO_DO
    message = "; ".join(done.told()) or "nothing was due"
    return ended(Completed(name=name, message=message[:500], data=done.model_dump(mode="json") | {"state": name}))
