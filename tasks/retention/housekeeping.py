"""Housekeeping: what there is of a model in workspace, ledger and registry, and taking away what may go."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime

from everfit.tasks.core.records import Snapshot
from everfit.tasks.ledger import Turn
from everfit.tasks.ledger.records import AWAITING_APPROVAL, ON_TRIAL
from everfit.tasks.registry import model_registry
from everfit.tasks.release.champions import versions_to_keep
from everfit.tasks.release.release_protocol import LEASE_WAIT
from everfit.tasks.retention import table_upkeep
from everfit.tasks.retention.upkeep_plan import Facts, TurnFacts, UpkeepPlan
from everfit.tasks.storage import table_files
from everfit.tasks.storage.workspace import TableName, Workspace
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.turn_record import TurnRecord

TABLES: tuple[TableName, ...] = ("dataset", "quarantine", "predictions", "labels")

_COPIES = ("challenger.skops", "refitted.skops")
"""A turn's own copies of its models, besides those in the registry."""


def gather(context: Context, at: datetime) -> Facts:
    """All that upkeep decides by."""
    name, workspace = context.spec.name, context.workspace
    return Facts(
        model=name,
        at=at,
        tables=tuple(table_upkeep.table_facts(workspace.table(name, table), table) for table in TABLES),
        turns=tuple(_turns(context, at)),
        versions=tuple(model_registry.versions(context.mlflow, name)),
        needed=_needed(context, at),
    )


def _needed(context: Context, at: datetime) -> frozenset[int]:
    """Versions that are served or may be gone back to, and those that somebody has given an alias."""
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
    for release in sorted(staged):  # what a release from quarantine, which is no turn, has left
        if quarantine.written(f"{release}/released"):
            yield TurnFacts(id=release, ended_at=at, staged=True)


def _turns_with(workspace: Workspace, model: str, asked: Callable[[str], bool]) -> frozenset[str]:
    """The turns, and releases from quarantine, in whose folders there is a file of a kind."""
    filesystem, folder = workspace.filesystem, workspace.file(model, "turns")
    if not filesystem.exists(folder):
        return frozenset()
    paths = map(str, filesystem.find(folder))
    return frozenset(path.rpartition("/turns/")[2].partition("/")[0] for path in paths if asked(path))


def _holds_rows(path: str) -> bool:
    inside = path.rpartition("/turns/")[2].split("/")[1]
    return inside == "batch" and path.endswith((".arrow", ".parquet", ".npz"))


def _is_copy(path: str) -> bool:
    return path.endswith(_COPIES)


def snapshot_of(workspace: Workspace, turn: Turn) -> Snapshot | None:
    """The data that a turn trains on: by its record, or while it is not over by what it has left in its folder."""
    told = TurnRecord.recall(turn.record).snapshot
    path = workspace.turn_file(turn.model, turn.id, "snapshot.json")
    if told is None and not turn.settled and workspace.exists(path):
        return Snapshot.model_validate_json(workspace.read(path))
    return told


def broken_turns(context: Context, without: frozenset[str] = frozenset()) -> list[str]:
    """The turns that can't be reproduced any more, as files of the data that they trained on are gone.

    Args:
        context: The model and where its things are.
        without: Files of the dataset that are about to go.
    """
    dataset = context.workspace.table(context.spec.name, "dataset")
    if not dataset.exists():
        return []
    there = table_files.files_there(context.workspace, dataset) - without
    broken = []
    for turn in context.ledger.turns.of(context.spec.name):
        snapshot = snapshot_of(context.workspace, turn)
        if snapshot is not None:
            needed = table_files.files_of(dataset, snapshot.version, snapshot.window)
            if needed is None or not needed <= there:
                broken.append(turn.id)
    return broken


def drop_versions(context: Context, plan: UpkeepPlan) -> list[int]:
    """Take versions from the registry; under the release lease, so that none of them is being gone back to.

    Returns:
        Those that were taken.
    """
    if not plan.drop_versions:
        return []
    name, client, wait = context.spec.name, context.mlflow, LEASE_WAIT + context.spec.release.verify_timeout
    dropped = []
    with context.ledger.leases.hold(name, scope="release", wait=wait) as lease:
        needed, there = _needed(context, plan.at), model_registry.versions(client, name)
        for version in plan.drop_versions:
            if version not in needed and version in there:
                lease.confirm()
                model_registry.delete(client, name, version)
                dropped.append(version)
    return dropped


def files_to_drop(context: Context, plan: UpkeepPlan) -> list[str]:
    """The rows that turns have staged and are done with, and their copies of models that are gone."""
    workspace, name = context.workspace, context.spec.name
    found = [path for turn_id in plan.drop_staged for path in staged_files(workspace, name, turn_id)]
    copies = (workspace.turn_file(name, turn_id, file) for turn_id in plan.drop_models for file in _COPIES)
    return found + [path for path in copies if workspace.exists(path)]


def staged_files(workspace: Workspace, model: str, turn_id: str) -> list[str]:
    """The files in which the rows lie that a turn has read; what it found of them is in others."""
    folder = workspace.turn_file(model, turn_id, "batch")
    found = workspace.filesystem.find(folder) if workspace.filesystem.exists(folder) else []
    return [str(path) for path in found if _holds_rows(str(path))]


def remove_files(workspace: Workspace, paths: Iterable[str]) -> int:
    """Remove files.

    Returns:
        How many were there.
    """
    removed = 0
    for path in paths:
        with suppress(FileNotFoundError):  # another upkeep was faster
            workspace.filesystem.rm_file(path)
            removed += 1
    return removed
