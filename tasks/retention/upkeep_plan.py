"""Upkeep: what may go of all that a model has left, and what must stay. Pure; `table_upkeep` does it."""

from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta

from pydantic import AwareDatetime, Field

from everfit.blocks.upkeep import UpkeepPolicy
from everfit.tasks.core.records import Record
from everfit.tasks.storage.workspace import TableName


class DayFacts(Record):
    """A day of a table: its files, and the rows that may be removed once they are old enough."""

    day: date
    files: int
    rows: int


class TableFacts(Record):
    """A table as it is."""

    name: TableName
    days: tuple[DayFacts, ...]


class TurnFacts(Record):
    """What upkeep must know of a turn, or of a release from quarantine, which leaves the like."""

    id: str
    ended_at: AwareDatetime | None = Field(description="When it was settled; None while it may yet be taken up again.")
    waits: bool = Field(default=False, description="Whether its challenger waits for a person, or is on trial.")
    version: int | None = Field(default=None, description="The model version that it registered.")
    snapshot: int | None = Field(default=None, description="The dataset's version that it trained on.")
    staged: bool = Field(default=False, description="Whether the rows that it read still are in its folder.")
    copies: bool = Field(default=False, description="Whether copies of its models, besides the registry's, still do.")


class Facts(Record):
    """All that upkeep decides by."""

    model: str
    at: AwareDatetime
    tables: tuple[TableFacts, ...]
    turns: tuple[TurnFacts, ...]
    versions: tuple[int, ...] = Field(description="That the registry has.")
    needed: frozenset[int] = Field(description="Versions that are served, may be gone back to, or have an alias.")


class TablePlan(Record):
    """What is to be done to a table."""

    name: TableName
    remove_before: date | None = Field(default=None, description="Rows of earlier days go.")
    rows: int = Field(default=0, description="How many those are.")
    days: int = Field(default=0, description="Days whose small files become one.")


class UpkeepPlan(Record):
    """What is to be done. Planned again after it was done, there is nothing left to do."""

    model: str
    at: AwareDatetime
    tables: tuple[TablePlan, ...]
    keep_snapshots: tuple[int, ...] = Field(description="Versions of the dataset that stay readable.")
    drop_versions: tuple[int, ...] = Field(description="Model versions that leave the registry.")
    drop_staged: tuple[str, ...] = Field(description="Turns that are over, whose staged rows go.")
    drop_models: tuple[str, ...] = Field(description="Turns whose own copies of their models go.")


def plan(facts: Facts, policy: UpkeepPolicy) -> UpkeepPlan:
    """Decide what may go.

    Kept are the dataset's states and the model versions that a champion, a former one that may be gone back to, a turn
    that is not over or waits for approval or is on trial, or a turn of the last `history` was made from.

    Args:
        facts: What there is.
        policy: How long it is kept.
    """
    kept = [turn for turn in facts.turns if _is_kept(turn, facts, policy.history)]
    over = [turn for turn in facts.turns if turn not in kept]
    gone = _versions_to_drop(over, facts)
    return UpkeepPlan(
        model=facts.model,
        at=facts.at,
        tables=tuple(_of_table(table, getattr(policy.keep, table.name), facts.at) for table in facts.tables),
        keep_snapshots=tuple(sorted({turn.snapshot for turn in kept if turn.snapshot is not None})),
        drop_versions=gone,
        drop_staged=tuple(turn.id for turn in facts.turns if turn.staged and turn.ended_at is not None),
        # Also of versions that went before: an upkeep may have been broken off right after that.
        drop_models=tuple(turn.id for turn in over if turn.copies and _is_gone(turn, facts, gone)),
    )


def _is_kept(turn: TurnFacts, facts: Facts, history: timedelta) -> bool:
    if turn.ended_at is None or turn.waits:
        return True
    return facts.at - turn.ended_at <= history or turn.version in facts.needed


def _versions_to_drop(over: Iterable[TurnFacts], facts: Facts) -> tuple[int, ...]:
    """Versions of turns that are over; one that everfit has not registered is none of its business."""
    # The registry gives the number of a deleted last version again, and predictions are on record by that number.
    last = max(facts.versions, default=0)
    made = {turn.version for turn in over if turn.version is not None}
    return tuple(sorted((made & set(facts.versions)) - facts.needed - {last}))


def _is_gone(turn: TurnFacts, facts: Facts, gone: Collection[int]) -> bool:
    return turn.version is not None and (turn.version in gone or turn.version not in facts.versions)


def _of_table(table: TableFacts, keep: timedelta | None, at: datetime) -> TablePlan:
    cut = None if keep is None else (at - keep).date()
    old = [day for day in table.days if cut is not None and day.day < cut and day.rows]
    left = [day for day in table.days if cut is None or day.day >= cut]
    return TablePlan(
        name=table.name,
        remove_before=cut if old else None,
        rows=sum(day.rows for day in old),
        days=sum(day.files > 1 for day in left),
    )
