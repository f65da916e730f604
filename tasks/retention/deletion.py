"""Delete model versions and files of turns, as an upkeep plan says."""

from collections.abc import Iterable
from contextlib import suppress

from everfit.tasks.registry import model_registry
from everfit.tasks.release.release_protocol import LEASE_WAIT
from everfit.tasks.retention.upkeep_facts import model_copies, needed_versions, staged_files
from everfit.tasks.retention.upkeep_plan import UpkeepPlan
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.turns.context import Context


def delete_versions(context: Context, plan: UpkeepPlan) -> list[int]:
    """Delete versions from the registry, under the release lease, so that no rollback to one is under way.

    Returns:
        The deleted versions.
    """
    if not plan.delete_versions:
        return []
    name, client, wait = context.spec.name, context.mlflow, LEASE_WAIT + context.spec.release.verify_timeout
    deleted = []
    with context.ledger.leases.hold(name, scope="release", wait=wait) as lease:
        needed, existing = needed_versions(context, plan.at), model_registry.versions(client, name)
        for version in plan.delete_versions:
            if version not in needed and version in existing:
                lease.confirm()
                model_registry.delete(client, name, version)
                deleted.append(version)
    return deleted


def files_to_delete(context: Context, plan: UpkeepPlan) -> list[str]:
    """Return the staged files of ended turns, and their copies of deleted models."""
    workspace, name = context.workspace, context.spec.name
    paths = [path for turn_id in plan.delete_staged for path in staged_files(workspace, name, turn_id)]
    return paths + [path for turn_id in plan.delete_models for path in model_copies(workspace, name, turn_id)]


def delete_files(workspace: Workspace, paths: Iterable[str]) -> int:
    """Delete files.

    Returns:
        How many existed.
    """
    deleted = 0
    for path in paths:
        with suppress(FileNotFoundError):  # another upkeep deleted it first
            workspace.filesystem.rm_file(path)
            deleted += 1
    return deleted
