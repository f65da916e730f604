"""The plan of an upkeep: what may be deleted and what must stay. Pure; `table_upkeep` and `deletion` carry it out."""

from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta

import numpy as np
from pydantic import AwareDatetime, Field

from everfit.blocks.upkeep import UpkeepPolicy
from everfit.tasks.core.records import Record
from everfit.tasks.storage.periods import Period, fitting_period, is_longer
from everfit.tasks.storage.workspace import TableName


class DayFacts(Record):
    """A day of a table: its files, and the rows that may be deleted when they are old enough."""

    day: date
    files: int
    rows: int


class TableFacts(Record):
    """The days of a table."""

    name: TableName
    days: tuple[DayFacts, ...]
    period: Period = Field(default="day", description="The period that a partition covers.")


class TurnFacts(Record):
    """The facts about a turn, or about an acceptance from quarantine, which stages rows too."""

    id: str
    ended_at: AwareDatetime | None = Field(description="When it was settled; None while it may be run again.")
    waits: bool = Field(default=False, description="Whether its challenger awaits approval or is on trial.")
    version: int | None = Field(default=None, description="The model version that it registered.")
    snapshot: int | None = Field(default=None, description="The dataset's version that it trained on.")
    staged: bool = Field(default=False, description="Whether its folder still holds the rows that it read.")
    copies: bool = Field(default=False, description="Whether its folder still holds copies of its models.")


class Facts(Record):
    """The facts that upkeep decides by."""

    model: str
    at: AwareDatetime
    tables: tuple[TableFacts, ...]
    turns: tuple[TurnFacts, ...]
    versions: tuple[int, ...] = Field(description="Versions in the registry.")
    needed: frozenset[int] = Field(description="Versions that are served, may be rolled back to, or have an alias.")


class TablePlan(Record):
    """The plan for one table."""

    name: TableName
    delete_before: date | None = Field(default=None, description="Rows of earlier days are deleted.")
    rows: int = Field(default=0, description="How many rows those are.")
    days: int = Field(default=0, description="Days, or longer partitions, whose files are compacted.")
    period: Period | None = Field(default=None, description="The longer period that a partition will cover.")


class UpkeepPlan(Record):
    """The plan of an upkeep. A new plan after it was carried out is empty."""

    model: str
    at: AwareDatetime
    tables: tuple[TablePlan, ...]
    keep_snapshots: tuple[int, ...] = Field(description="Dataset versions that stay readable.")
    delete_versions: tuple[int, ...] = Field(description="Model versions to delete from the registry.")
    delete_staged: tuple[str, ...] = Field(description="Ended turns whose staged rows are deleted.")
    delete_models: tuple[str, ...] = Field(description="Turns whose copies of their models are deleted.")


def plan_upkeep(facts: Facts, policy: UpkeepPolicy) -> UpkeepPlan:
    """Decide what may be deleted.

    Model versions and dataset versions are kept for the champion, for champions that may be rolled back to, for
    turns that are unfinished, await approval or are on trial, and for turns of the last `history`.

    Args:
        facts: The facts.
        policy: How long data is kept.
    """
    kept = [turn for turn in facts.turns if _is_kept(turn, facts, policy.history)]
    over = [turn for turn in facts.turns if turn not in kept]
    gone = _versions_to_drop(over, facts)
    return UpkeepPlan(
        model=facts.model,
        at=facts.at,
        tables=tuple(_of_table(table, getattr(policy.keep, table.name), facts.at) for table in facts.tables),
        keep_snapshots=tuple(sorted({turn.snapshot for turn in kept if turn.snapshot is not None})),
        delete_versions=gone,
        delete_staged=tuple(turn.id for turn in facts.turns if turn.staged and turn.ended_at is not None),
        # Also for versions that were deleted earlier: that upkeep may have been interrupted.
        delete_models=tuple(turn.id for turn in over if turn.copies and _is_gone(turn, facts, gone)),
    )


def _is_kept(turn: TurnFacts, facts: Facts, history: timedelta) -> bool:
    if turn.ended_at is None or turn.waits:
        return True
    return facts.at - turn.ended_at <= history or turn.version in facts.needed


def _versions_to_drop(over: Iterable[TurnFacts], facts: Facts) -> tuple[int, ...]:
    """Return the versions of ended turns; versions that everfit did not register stay."""
    # The registry reuses the number of a deleted last version, and predictions are recorded by that number.
    last = max(facts.versions, default=0)
    registered = {turn.version for turn in over if turn.version is not None}
    return tuple(sorted((registered & set(facts.versions)) - facts.needed - {last}))


def _is_gone(turn: TurnFacts, facts: Facts, gone: Collection[int]) -> bool:
    return turn.version is not None and (turn.version in gone or turn.version not in facts.versions)


def _of_table(table: TableFacts, keep: timedelta | None, at: datetime) -> TablePlan:
    cut = None if keep is None else (at - keep).date()
    old = [day for day in table.days if cut is not None and day.day < cut and day.rows]
    left = [day for day in table.days if cut is None or day.day >= cut]
    with_rows = [day for day in left if day.rows]
    suits = fitting_period(
        np.array([day.day for day in with_rows], dtype="datetime64[D]").astype(np.int32),
        np.array([day.rows for day in with_rows], dtype=np.int64),
    )
    return TablePlan(
        name=table.name,
        period=suits if table.name == "dataset" and is_longer(suits, table.period) else None,
        delete_before=cut if old else None,
        rows=sum(day.rows for day in old),
        days=sum(day.files > 1 for day in left),
    )
