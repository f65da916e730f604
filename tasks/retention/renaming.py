"""Give a model another name in the workspace, in MLflow and in the ledger."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from everfit.blocks.content import PAGES_FOLDER
from everfit.blocks.errors import SpecError, WorkspaceError
from everfit.tasks.core.records import Record
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.model_names import RENAMING, known_models, rename_rows
from everfit.tasks.ledger.records import AWAITING_APPROVAL, ON_TRIAL
from everfit.tasks.pages.writing import write_model, write_overview
from everfit.tasks.registry import model_registry, tracking
from everfit.tasks.storage.former_names import new_name, note_renaming
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Renaming(Record):
    """A change of a model's name."""

    old: str
    new: str
    by: str
    reason: str


def rename_model(
    change: Renaming,
    *,
    ledger: Ledger,
    workspace: Workspace,
    client: "MlflowClient",
    progress: Callable[[str], None] = lambda _: None,
) -> None:
    """Rename a model while no turn, scoring or release of it runs.

    If it is interrupted, run it again: it does the rest.

    Args:
        change: The names, and who changes them.
        ledger: The ledger.
        workspace: Where the model's folder is.
        client: The client of MLflow.
        progress: Gets the name of each part that was done.

    Raises:
        BusyError: A turn, scoring or release of the model is running.
        SpecError: There is no such model, the new name is taken, or a challenger waits for a decision.
    """
    old, new = change.old, change.new
    known = known_models(ledger)
    if old not in known and new in known and new_name(workspace, old) == new:
        _finish(change, ledger, workspace, has_page=workspace.exists(workspace.file(PAGES_FOLDER)))
        return
    if old not in known:
        raise SpecError(f"there is no model {old!r} in the ledger; it has {', '.join(sorted(known)) or 'none'}")
    begun = any(entry.record.get("new") == new for entry in ledger.decisions.of(old, kind=RENAMING)[-1:])
    registered = model_registry.names(client)
    folders = (workspace.file(old), workspace.file(new))
    if not begun and (new in known or new in registered or workspace.exists(folders[1])):
        raise SpecError(f"there is a model {new!r} already, or files of one; choose another name")
    if waiting := [turn.id for turn in ledger.turns.of(old) if turn.state in {AWAITING_APPROVAL, ON_TRIAL}]:
        raise SpecError(
            f"the challenger of turn {waiting[-1]} waits for a decision; approve or decline it, or end its trial, then "
            f"rename the model"
        )
    holder = f"{change.by}, renaming"
    with (
        ledger.leases.hold(old, scope="turn", holder=holder),
        ledger.leases.hold(old, scope="scoring", holder=holder),
        ledger.leases.hold(old, scope="release", holder=holder),
    ):
        if not begun:
            _record(ledger, change)
        note_renaming(workspace, old, new, moved=False)
        _move(workspace, *folders)
        progress(f"workspace {folders[1]}")
        if old in registered:
            client.rename_registered_model(old, new)
        for before, after in zip(tracking.experiments_of(old), tracking.experiments_of(new), strict=True):
            if (experiment := client.get_experiment_by_name(before)) is not None:
                client.rename_experiment(experiment.experiment_id, after)
        progress(f"MLflow's model and experiment {new}")
        page = workspace.file(PAGES_FOLDER, old)
        has_page = workspace.exists(page)
        if has_page:
            workspace.delete_folder(page)
        rename_rows(ledger, old, new, folders)
        progress("the ledger")
        _finish(change, ledger, workspace, has_page=has_page)


def _finish(change: Renaming, ledger: Ledger, workspace: Workspace, *, has_page: bool) -> None:
    """Do what follows once the ledger has the new name; until then services keep their rows."""
    # Services that were writing meanwhile left rows under the old name: they keep these, and write them again.
    workspace.delete_folder(workspace.file(change.old))
    note_renaming(workspace, change.old, change.new, moved=True)
    if has_page:
        page = write_model(ledger, workspace, change.new, afresh=True)
        write_overview(ledger, workspace, {change.new: page})


def _record(ledger: Ledger, change: Renaming) -> None:
    ledger.decisions.record(
        f"renaming:{change.old}:{change.new}:{datetime.now(UTC):%Y%m%dT%H%M%S.%f}",
        model=change.old,
        kind=RENAMING,
        verdict="renamed",
        reasons=(f"renamed from {change.old} to {change.new} by {change.by}: {change.reason}",),
        record=change,
    )


def _move(workspace: Workspace, old: str, new: str) -> None:
    """Move the model's folder. An interrupted move on S3 copies what is left."""
    filesystem = workspace.filesystem
    if not filesystem.exists(old):
        return
    if filesystem.exists(new) and not workspace.remote:
        raise WorkspaceError(f"{new!r} exists already; move it away, then rename the model again")
    filesystem.mv(old, new, recursive=True)
