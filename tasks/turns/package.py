"""The package of a turn: all that is needed to make its model again, and to see that it is the same."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import ArtifactError, WorkspaceError
from everfit.tasks.core.records import Record
from everfit.tasks.models.artifacts import differences, file_digest
from everfit.tasks.registry.code_version import code_version, package_versions
from everfit.tasks.registry.own_code import own_code
from everfit.tasks.storage.durable import make_folder, sync_folder, sync_tree
from everfit.tasks.turns.context import Context

if TYPE_CHECKING:
    from everfit.tasks.data.split import TrainingData
    from everfit.tasks.evaluation.report import Report
    from everfit.tasks.ledger import Turn
    from everfit.tasks.storage.workspace import Workspace
    from everfit.tasks.turns.turn_record import TurnRecord

DIGESTS_FILE = "digests.json"
"""Digests of the other files of an exported package."""

HISTORY_FILE = "history.json"
"""Approval, releases and later events of an exported turn, as the ledger had them."""

FILES = ("spec.json", "turn.json", "evidence.json", "environment.json")


class Package(Record):
    """The files from which a turn's model can be made again.

    The snapshot's rows stay where they are: they are named by the dataset's version and a digest of their content.
    """

    spec: dict[str, Any]
    turn: dict[str, Any]
    evidence: dict[str, Any]
    environment: dict[str, Any]


def write_package(context: Context, turn: "Turn", data: "TrainingData", record: "TurnRecord", report: "Report") -> None:
    """Write a turn's package into its folder of the workspace, beside its models."""
    contents: dict[str, Any] = {
        "spec.json": context.spec.content(),
        "turn.json": {
            "id": turn.id,
            "model": turn.model,
            "until": turn.window.until.isoformat(),
            "trigger": turn.trigger.model_dump(mode="json"),
            "record": record.model_dump(mode="json"),
        },
        "evidence.json": report.model_dump(mode="json"),
        "environment.json": {
            "code_version": code_version(),
            "packages": package_versions(),
            "own_code": own_code(context.spec, record.own_modules),
        },
    }
    for name, content in contents.items():
        path = data.workspace.turn_file(turn.model, turn.id, name)
        data.workspace.write(path, json.dumps(content, sort_keys=True, indent=1).encode())


def read_package(workspace: "Workspace", model: str, turn_id: str) -> Package:
    """Read a turn's package.

    Raises:
        WorkspaceError: the turn left none: it is unknown, or ended before it had a model.
    """
    contents = {}
    for name in FILES:
        path = workspace.turn_file(model, turn_id, name)
        if not workspace.exists(path):
            raise WorkspaceError(
                f"turn {turn_id!r} left no {name}; only turns that trained a model can be made again "
                f"(`everfit history {model}` lists the turns)"
            )
        contents[name.removesuffix(".json")] = json.loads(workspace.read(path))
    return Package.model_validate(contents)


def export_package(
    workspace: "Workspace", model: str, turn_id: str, folder: Path, history: Mapping[str, Any] | None = None
) -> list[str]:
    """Copy what a turn left, its models included, into a new folder.

    Args:
        workspace: The workspace.
        model: The name of the model.
        turn_id: The turn.
        folder: The new folder.
        history: The later history of the turn, which becomes a file of the package.

    Returns:
        The names of the files.

    Raises:
        WorkspaceError: the turn left nothing, or the folder is there already.
    """
    read_package(workspace, model, turn_id)
    if folder.exists():
        raise WorkspaceError(f"{str(folder)!r} is there already; name a new folder")
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    make_folder(part)
    names = []
    filesystem = workspace.filesystem
    for path in sorted(filesystem.ls(workspace.turn_file(model, turn_id, ""), detail=False)):
        name = str(path).rstrip("/").rpartition("/")[2]
        if filesystem.isfile(path):
            (part / name).write_bytes(filesystem.cat_file(path))
            names.append(name)
    if history is not None:
        content = json.dumps(history, sort_keys=True, indent=1, default=str)
        (part / HISTORY_FILE).write_text(content, encoding="utf-8")
        names.append(HISTORY_FILE)
    digests = {name: file_digest(part / name) for name in names}
    (part / DIGESTS_FILE).write_text(json.dumps(digests, sort_keys=True, indent=1), encoding="utf-8")
    sync_tree(part)  # a power cut must not leave the folder's name with torn files
    part.rename(folder)
    sync_folder(folder.parent)
    return names


def import_package(workspace: "Workspace", folder: Path) -> tuple[str, str]:
    """Put an exported package into a workspace, where it can be looked at and made again.

    Returns:
        The model's name and the turn's id.

    Raises:
        ArtifactError: A file is not the one that was exported.
        WorkspaceError: The folder is no package, or the workspace has that turn already, with another content.
    """
    _check_digests(folder)
    try:
        turn = json.loads((folder / "turn.json").read_text())
        model, turn_id = str(turn["model"]), str(turn["id"])
    except (OSError, ValueError, KeyError) as error:
        raise WorkspaceError(
            f"{str(folder)!r} is no package of a turn, its turn.json can't be read ({error}); give a folder that "
            f"`everfit export` has written"
        ) from error
    if "/" in model + turn_id or ".." in model + turn_id:
        raise WorkspaceError(f"{str(folder)!r} names a turn {turn_id!r} of {model!r}, which can't be a folder")
    for file in sorted(folder.iterdir()):
        if file.name in {DIGESTS_FILE, HISTORY_FILE}:  # the history stays with the ledger that it is of
            continue
        path, content = workspace.turn_file(model, turn_id, file.name), file.read_bytes()
        if workspace.exists(path) and workspace.read(path) != content:
            raise WorkspaceError(f"the workspace has turn {turn_id!r} already, with another {file.name}")
        workspace.write(path, content)
    return model, turn_id


def _check_digests(folder: Path) -> None:
    """Refuse a package whose files are not those that were exported; an export of everfit 0.2 has no digests."""
    listed = folder / DIGESTS_FILE
    if not listed.exists():
        return
    try:
        exported = {str(name): str(digest) for name, digest in json.loads(listed.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise ArtifactError(f"{str(listed)!r} can't be read: {error}; export the turn again") from error
    digests = {
        file.name: file_digest(file) for file in folder.iterdir() if file.is_file() and file.name != DIGESTS_FILE
    }
    if problems := differences(digests, exported):
        raise ArtifactError(
            f"the files in {str(folder)!r} are not those that were exported: {problems[0]}; export the turn again"
        )
