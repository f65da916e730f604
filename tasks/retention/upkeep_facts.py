"""The facts that upkeep decides by: a model's tables, turns and versions."""

from collections.abc import Callable, Iterator
from datetime import datetime
from fnmatch import fnmatch

from everfit.tasks.core.records import Snapshot
from everfit.tasks.ledger import Turn
from everfit.tasks.ledger.records import AWAITING_APPROVAL, ON_TRIAL
from everfit.tasks.registry import model_registry
from everfit.tasks.release.champions import versions_to_keep
from everfit.tasks.retention import table_upkeep
from everfit.tasks.retention.upkeep_plan import Facts, TurnFacts
from everfit.tasks.storage import table_files
from everfit.tasks.storage.workspace import TableName, Workspace
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.turn_record import TurnRecord

TABLES: tuple[TableName, ...] = ("dataset", "quarantine", "predictions", "labels")

_MODEL_COPIES = "*.skops*"
"""A turn's copies of its models, in addition to those in the registry: the challenger's of each part of the hold-out,
the refitted one, and what a turn left that was killed while its procedures competed."""


def read_facts(context: Context, at: datetime) -> Facts:
    """Read the facts that upkeep decides by."""
    name, workspace = context.spec.name, context.workspace
    return Facts(
        model=name,
        at=at,
        tables=tuple(
            table_upkeep.table_facts(workspace.table(name, table), table, context.spec.columns.time) for table in TABLES
        ),
        turns=tuple(_turns(context, at)),
        versions=tuple(model_registry.versions(context.mlflow, name)),
        needed=needed_versions(context, at),
    )


def needed_versions(context: Context, at: datetime) -> frozenset[int]:
    """Return the versions that are served, that may be rolled back to, or that have an alias."""
    name, client = context.spec.name, context.mlflow
    return versions_to_keep(context.ledger.releases.of(name), context.spec.release, at) | model_registry.aliased(
        client, name
    )


def _turns(context: Context, at: datetime) -> Iterator[TurnFacts]:
    name, workspace = context.spec.name, context.workspace
    staged, copied = set(_turns_with(workspace, name, _holds_rows)), _turns_with(workspace, name, _is_copy)
    for turn in context.ledger.turns.of(name):
        record, snapshot = TurnRecord.recall(turn.record), snapshot_of(workspace, turn)
        yield TurnFacts(
            id=turn.id,
            ended_at=turn.finished_at if turn.settled else None,
            waits=turn.state in {AWAITING_APPROVAL, ON_TRIAL},
            version=None if record.version is None else record.version.version,
            snapshot=None if snapshot is None else snapshot.version,
            staged=turn.id in staged,
            copies=turn.id in copied,
        )
        staged.discard(turn.id)
    quarantine = workspace.table(name, "quarantine")
    for acceptance in sorted(staged):  # rows accepted from quarantine are staged without a turn
        if quarantine.written(f"{acceptance}/released"):
            yield TurnFacts(id=acceptance, ended_at=at, staged=True)


def _turns_with(workspace: Workspace, model: str, is_kind: Callable[[str], bool]) -> frozenset[str]:
    """Return the turns, and acceptances from quarantine, whose folders have a file of a kind."""
    filesystem, folder = workspace.filesystem, workspace.file(model, "turns")
    if not filesystem.exists(folder):
        return frozenset()
    paths = map(str, filesystem.find(folder))
    return frozenset(path.rpartition("/turns/")[2].partition("/")[0] for path in paths if is_kind(path))


def _holds_rows(path: str) -> bool:
    inside = path.rpartition("/turns/")[2].split("/")[1]
    return inside == "batch" and path.endswith((".arrow", ".parquet", ".npz"))


def model_copies(workspace: Workspace, model: str, turn_id: str) -> list[str]:
    """Return the paths of a turn's copies of its models."""
    folder = workspace.turn_file(model, turn_id, "")
    there = workspace.filesystem.find(folder) if workspace.filesystem.exists(folder) else ()
    return [path for path in map(str, there) if _is_copy(path)]


def _is_copy(path: str) -> bool:
    return fnmatch(path.rpartition("/")[2], _MODEL_COPIES)


def snapshot_of(workspace: Workspace, turn: Turn) -> Snapshot | None:
    """Return the training data of a turn: from its record or, while it is unfinished, from its folder."""
    snapshot = TurnRecord.recall(turn.record).snapshot
    path = workspace.turn_file(turn.model, turn.id, "snapshot.json")
    if snapshot is None and not turn.settled and workspace.exists(path):
        return Snapshot.model_validate_json(workspace.read(path))
    return snapshot


def broken_turns(context: Context, without: frozenset[str] = frozenset()) -> list[str]:
    """Return the turns that can no longer be reproduced, because files of their training data were deleted.

    Args:
        context: The model.
        without: Files of the dataset that are about to be deleted.
    """
    dataset = context.workspace.table(context.spec.name, "dataset")
    if not dataset.exists():
        return []
    existing = table_files.files_there(context.workspace, dataset) - without
    broken = []
    for turn in context.ledger.turns.of(context.spec.name):
        snapshot = snapshot_of(context.workspace, turn)
        if snapshot is not None:
            needed = table_files.files_of(dataset, snapshot.version, snapshot.window)
            if needed is None or not needed <= existing:
                broken.append(turn.id)
    return broken


def staged_files(workspace: Workspace, model: str, turn_id: str) -> list[str]:
    """Return the files with the rows that a turn has read."""
    folder = workspace.turn_file(model, turn_id, "batch")
    paths = workspace.filesystem.find(folder) if workspace.filesystem.exists(folder) else []
    return [str(path) for path in paths if _holds_rows(str(path))]
