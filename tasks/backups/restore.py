"""Restore a backup into a workspace, a ledger and an MLflow that don't have the model.

The rows of the ledger come last, in one transaction: before that the model does not exist. A restoring that was
interrupted leaves a marker, by which the next one deletes what was made and starts again.
"""

import json
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import LedgerError, WorkspaceError
from everfit.tasks.backups import mlflow_restore, workspace_files
from everfit.tasks.backups.archive import Archive
from everfit.tasks.backups.backup import SPEC
from everfit.tasks.core.records import ModelVersion, Record
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.model_names import known_models
from everfit.tasks.ledger.schema import REVISION
from everfit.tasks.ledger.transfer import Row, load_rows
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.artifact_records import publish
from everfit.tasks.registry.verification import verify_versions
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.turns.accepted_copy import publish_accepted

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from everfit.blocks.settings import Settings

RESTORATION = "restoration"
"""Kind of the decision that records a restoring."""

_MARKER = "restoring.json"


class Restored(Record):
    """A model that was restored.

    Attributes:
        model: Name of the model.
        at: The time of the backup.
        champion: Version of the champion, or None.
        versions: Number of versions whose files are those that were registered.
        counts: Numbers of rows and files, by what they are.
        problems: Sentences about what is not as it was registered, or was missing from the backup.
        spec: The spec.
    """

    model: str
    at: str
    champion: int | None
    versions: int
    counts: dict[str, int]
    problems: tuple[str, ...]
    spec: dict[str, Any]


class Restoration(Record):
    """The record of a restoring: the backup, and the ids that MLflow gave to runs and logged models."""

    back_up: str
    at: str
    by: str
    ids: dict[str, str]


def restore(settings: "Settings", ledger: Ledger, client: "MlflowClient", uri: str, *, by: str) -> Restored:
    """Restore a backup into the places that the settings name.

    Args:
        settings: The settings of the process.
        ledger: The ledger.
        client: Client of MLflow.
        uri: Folder of the backup.
        by: Name of the person who restores.

    Raises:
        WorkspaceError: The backup is unfinished or damaged, or the workspace or MLflow has the model.
        LedgerError: The ledger has the model, or the backup is of a newer ledger.
    """
    archive, workspace = Archive.open(uri), Workspace.of(settings)
    manifest = archive.manifest
    model = manifest.model
    if manifest.ledger_revision > REVISION:
        raise LedgerError(
            f"the backup in {archive.uri!r} has a ledger of schema {manifest.ledger_revision!r}, newer than this "
            f"everfit knows ({REVISION!r}); upgrade everfit here"
        )
    archive.verify()
    rows = {
        name.removesuffix(".jsonl"): workspace_files.read_jsonl(archive.read(f"ledger/{name}"))
        for name in archive.names("ledger")
    }
    marker = workspace.file(model, _MARKER)
    interrupted = workspace.exists(marker)
    if model in known_models(ledger):
        if not interrupted:
            raise LedgerError(
                f"the ledger has a model {model!r}; restore into another ledger, workspace and MLflow, or end the "
                f"model by `everfit retire {model} --delete-data` and `everfit rename` first"
            )
        workspace.delete(marker)  # only the end of that restoring was missing
        return _finished(ledger, client, workspace, archive)
    if interrupted:
        mlflow_restore.delete_restored(client, model)
        workspace.filesystem.rm(workspace.file(model), recursive=True)
    elif workspace.exists(workspace.file(model)):
        raise WorkspaceError(
            f"the workspace {workspace.uri!r} has files of {model!r}; restore into another workspace, or delete them"
        )
    elif model in model_registry.names(client):
        raise WorkspaceError(f"MLflow has a model {model!r}; restore into another MLflow, or delete the model there")
    workspace.write(marker, json.dumps({"back_up": archive.uri, "at": manifest.at.isoformat()}).encode())
    ids, registry = mlflow_restore.restore_mlflow(client, settings, archive)
    workspace_files.restore_files(archive, workspace, model)
    workspace_files.restore_spools(archive, settings.state_dir / "serving" / model)
    for alias, number in mlflow_restore.aliases_of(registry, _champion(rows)).items():
        if number in model_registry.versions(client, model):
            model_registry.set_alias(client, model, alias, number)
    _publish_digests(client, workspace, model, [_moved(row, ids, archive, workspace) for row in rows["artifacts"]])
    load_rows(ledger, model, rows, lambda row: _moved(row, ids, archive, workspace))
    ledger.decisions.record(
        f"{model}/restoration/{manifest.at:%Y%m%dT%H%M%S}",
        model=model,
        kind=RESTORATION,
        verdict="restored",
        until=manifest.at,
        reasons=[f"restored by {by} from the backup of {manifest.at:%Y-%m-%d %H:%M} UTC"],
        record=Restoration(back_up=archive.uri, at=manifest.at.isoformat(), by=by, ids=ids.new),
    )
    publish_accepted(ledger, workspace, model)
    workspace.delete(marker)
    return _finished(ledger, client, workspace, archive)


def _finished(ledger: Ledger, client: "MlflowClient", workspace: Workspace, archive: Archive) -> Restored:
    """Compare what is there with the backup and the ledger's digests."""
    manifest, problems = archive.manifest, list(archive.manifest.missing)
    model, counts = manifest.model, {}
    for name in workspace_files.table_names():
        expected = manifest.counts.get(f"rows of {name}")
        if expected is not None:
            counts[f"rows of {name}"] = found = int(workspace.table(model, name).open().count())
            if found != expected:
                problems.append(f"the table {name!r} has {found} rows instead of {expected}")
    versions = verify_versions(client, ledger, workspace, model)
    for version in versions:
        if version.state not in {"verified", "not recorded"}:
            problems += [f"version {version.version} is {version.state}: {problem}" for problem in version.problems]
    current = ledger.releases.current(model)
    return Restored(
        model=model,
        at=manifest.at.isoformat(),
        champion=current.version if current else None,
        versions=sum(version.state in {"verified", "not recorded"} for version in versions),
        counts=counts | {name: manifest.counts[name] for name in manifest.counts.keys() - counts.keys()},
        problems=tuple(problems),
        spec=archive.read_json(SPEC),
    )


def _champion(rows: dict[str, list[Row]]) -> int | None:
    """Return the version that the ledger names as the champion, or the one that an interrupted release replaces."""
    standing = [row for row in rows["releases"] if row["state"] in {"alias_set", "verified"}]
    return int(max(standing, key=lambda row: int(row["seq"]))["version"]) if standing else None


def _moved(row: Row, ids: mlflow_restore.Ids, archive: Archive, workspace: Workspace) -> Row:
    """Return a row with the new ids of MLflow and the new addresses of files."""
    model = archive.manifest.model
    before, now = (json.dumps(f"{uri}/{model}/")[1:-1] for uri in (archive.manifest.workspace, workspace.uri))
    moved: Row = json.loads(ids.written(json.dumps(row)).replace(before, now))
    return moved


def _publish_digests(client: "MlflowClient", workspace: Workspace, model: str, recorded: list[Row]) -> None:
    newest: dict[tuple[int, str], Row] = {}
    for one in sorted(recorded, key=lambda row: int(row["seq"])):
        newest[int(one["version"]), str(one["run_id"])] = one
    for number in model_registry.versions(client, model) if model in model_registry.names(client) else ():
        version: ModelVersion = model_registry.model_version(client, model, number)
        if (row := newest.get((number, version.run_id))) is not None:
            publish(client, workspace, version, row["files"])
