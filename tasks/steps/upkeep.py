"""Upkeep as Prefect tasks."""

from datetime import datetime
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from everfit.tasks.core.final_states import ended
from everfit.tasks.retention import deletion, look_upkeep, table_upkeep, upkeep_facts, upkeep_record
from everfit.tasks.retention.look_upkeep import LookPlan
from everfit.tasks.retention.upkeep_facts import TABLES
from everfit.tasks.retention.upkeep_plan import TablePlan, UpkeepPlan, plan_upkeep
from everfit.tasks.retention.upkeep_record import UpkeepResult, changed_anything, upkeep_page
from everfit.tasks.steps.artifacts import leave_page
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.storage.workspace import TableName
from everfit.tasks.turns.context import Context

logger = step_logger("everfit.upkeep")

PLANNED, CLEANED_UP, NOTHING_TO_DO = "Planned", "CleanedUp", "NothingToDo"
"""Names of the flow's final states."""


@step("network", log="upkeep")
def make_plan(context: Context, at: datetime) -> UpkeepPlan:
    """Read the facts and decide what may be deleted."""
    return plan_upkeep(upkeep_facts.read_facts(context, at), context.spec.upkeep)


@step("network", log="upkeep")
def preview(context: Context, planned: UpkeepPlan) -> UpkeepResult:
    """Return what an upkeep would change, without changing anything."""
    expired = {name: _expired(context, name, planned) for name in TABLES}
    looks = _plan_looks(context, planned)
    broken = upkeep_facts.broken_turns(context, frozenset(expired["dataset"]))
    return UpkeepResult(
        model=planned.model,
        at=planned.at,
        rows={table.name: table.rows for table in planned.tables},
        days={table.name: table.days for table in planned.tables},
        files={name: len(files) for name, files in expired.items()},
        versions=planned.delete_versions,
        turn_files=len(deletion.files_to_delete(context, planned)),
        looks=len(looks.thin) + len(looks.delete),
        broken_turns=tuple(broken),
    )


@step("network", log="upkeep")
def delete_old_rows(context: Context, planned: UpkeepPlan) -> dict[str, int]:
    """Delete the rows that are older than the spec keeps them."""
    return {table.name: _delete_old_rows(context, table) for table in planned.tables}


def _delete_old_rows(context: Context, planned: TablePlan) -> int:
    if planned.delete_before is None:
        return 0
    table = context.workspace.table(context.spec.name, planned.name)
    return table_upkeep.delete_before(table, planned.name, planned.delete_before, context.spec.columns.time)


@step("network", log="upkeep")
def compact(context: Context, planned: UpkeepPlan) -> dict[str, int]:
    """Compact the files of each partition; where there are many with few rows, let each cover a longer period first."""
    for table in planned.tables:
        if table.period is not None:
            table_upkeep.lengthen(context.workspace.table(context.spec.name, table.name), table.period)
        if table.days:
            table_upkeep.compact(context.workspace.table(context.spec.name, table.name))
    return {table.name: table.days for table in planned.tables}


@step("network", log="upkeep")
def delete_expired_files(context: Context, planned: UpkeepPlan) -> dict[str, int]:
    """Delete the files that no kept version needs."""
    return {
        name: table_upkeep.delete_expired_files(
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
def delete_versions(context: Context, planned: UpkeepPlan) -> list[int]:
    """Delete versions from the registry that can no longer be rolled back to."""
    return deletion.delete_versions(context, planned)


@step("network", log="upkeep")
def delete_files(context: Context, planned: UpkeepPlan) -> int:
    """Delete the files that ended turns kept for their own steps."""
    return deletion.delete_files(context.workspace, deletion.files_to_delete(context, planned))


@step("network", log="upkeep")
def thin_looks(context: Context, planned: UpkeepPlan) -> int:
    """Delete or thin the MLflow runs of earlier looks that found nothing."""
    return look_upkeep.thin_looks(context, _plan_looks(context, planned))


def _plan_looks(context: Context, planned: UpkeepPlan) -> LookPlan:
    keep = context.spec.upkeep.looks
    return look_upkeep.plan_looks(look_upkeep.read_looks(context, planned.at - keep), planned.at, keep)


@step("decision", log="upkeep")
def record_upkeep(  # noqa: PLR0917 - each is what a step has done
    context: Context,
    planned: UpkeepPlan,
    rows: dict[str, int],
    days: dict[str, int],
    files: dict[str, int],
    versions: list[int],
    turn_files: int,
    looks: int = 0,
) -> UpkeepResult:
    """Record the upkeep in the ledger, with the turns that can no longer be reproduced."""
    done = UpkeepResult(
        model=planned.model,
        at=planned.at,
        rows=rows,
        days=days,
        files=files,
        versions=tuple(versions),
        turn_files=turn_files,
        looks=looks,
        broken_turns=tuple(upkeep_facts.broken_turns(context)),
    )
    upkeep_record.record_upkeep(context.ledger, done)
    if changed_anything(done):
        logger.info("%s", "; ".join(done.summary()))
        leave_page(f"{done.model}-upkeep", upkeep_page(done))
    return done


def clean_up(context: Context, at: datetime) -> UpkeepResult:
    """Do all steps of an upkeep, each a Prefect task.

    Args:
        context: The model.
        at: The moment from which ages are counted.
    """
    plan = make_plan(context, at)
    rows = delete_old_rows(context, plan)
    days = compact(context, plan)
    files = delete_expired_files(context, plan)
    versions = delete_versions(context, plan)
    turn_files = delete_files(context, plan)
    looks = thin_looks(context, plan)
    return record_upkeep(context, plan, rows, days, files, versions, turn_files, looks)


def final_state(done: UpkeepResult, *, dry_run: bool) -> State[dict[str, Any]]:
    """Return the flow's final state with the changes, or the planned ones."""
    name = PLANNED if dry_run else CLEANED_UP if changed_anything(done) else NOTHING_TO_DO
    message = "; ".join(done.summary()) or "nothing was due"
    return ended(Completed(name=name, message=message[:500], data=done.model_dump(mode="json") | {"state": name}))
