"""Back up all that a model has while its loop runs and its service answers.

References are copied before the things that they name: the ledger, the files of turns, MLflow, the spool,
the tables. So all that a copied row names was there when it was copied. Only deletions could break that: if one was
recorded meanwhile, the copy starts again.
"""

import json
from typing import TYPE_CHECKING

from everfit.blocks.errors import BusyError
from everfit.tasks.backups import mlflow_copy, workspace_files
from everfit.tasks.backups.archive import ArchiveWriter, Manifest
from everfit.tasks.ledger.schema import REVISION
from everfit.tasks.ledger.transfer import dump_rows
from everfit.tasks.storage.former_names import former_names

if TYPE_CHECKING:
    from everfit.tasks.turns.context import Context

SPEC = "spec.json"

_TRIES = 3
_DELETING = ("forget", "upkeep", "renaming", "retirement")
"""The kinds of decisions that delete or move what others name."""


def back_up(context: "Context", uri: str) -> Manifest:
    """Copy all that a model has to a new folder.

    Args:
        context: The model.
        uri: A new folder, or `s3://bucket/prefix`.

    Returns:
        The manifest. Its `missing` says what could not be read.

    Raises:
        BusyError: Rows or versions of the model were deleted during each try.
        WorkspaceError: The folder has a backup, or other files.
    """
    import everfit

    model, workspace = context.spec.name, context.workspace
    archive = ArchiveWriter(uri)
    for _ in range(_TRIES):
        archive.begin()
        before = _deletions(context)
        at, rows = dump_rows(context.ledger, model)
        for table, some in rows.items():
            archive.add(f"ledger/{table}.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in some))
        archive.add_json(SPEC, context.spec.content())
        counts = {f"{table} of the ledger": len(some) for table, some in rows.items()}
        counts["files"] = workspace_files.copy_files(workspace, model, archive)
        in_mlflow, missing = mlflow_copy.copy_mlflow(context.mlflow, model, archive)
        serving, names = context.settings.state_dir / "serving", [model, *former_names(workspace, model)]
        counts["spool segments"] = sum(workspace_files.copy_spools(serving / name, archive) for name in names)
        try:
            tables = workspace_files.copy_tables(workspace, model, archive)
        except workspace_files.ChangedMeanwhileError:
            continue
        if _deletions(context) == before:
            break
    else:
        raise BusyError(f"rows or versions of {model!r} were deleted during {_TRIES} tries; run the backup again later")
    counts |= in_mlflow | {f"rows of {name}": count for name, count in tables.items()}
    return archive.finish(
        model=model,
        at=at,
        everfit=everfit.__version__,
        ledger_revision=REVISION,
        workspace=workspace.uri,
        counts=counts,
        missing=tuple(missing),
    )


def _deletions(context: "Context") -> tuple[int, list[str]]:
    """Return what changes when rows, files or versions are deleted; a deletion is remembered before it begins."""
    decided = sum(len(context.ledger.decisions.of(context.spec.name, kind=kind)) for kind in _DELETING)
    return decided, workspace_files.remembered_deletions(context.workspace, context.spec.name)
