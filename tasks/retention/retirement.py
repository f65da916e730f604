"""The end of a model: it is recorded, and its data is deleted on request. Its history stays readable."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from everfit.blocks.content import PAGES_FOLDER
from everfit.blocks.errors import SpecError
from everfit.tasks.core.records import Record
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.model_names import RENAMING, RETIREMENT, known_models, name_changes
from everfit.tasks.pages.writing import write_model, write_overview
from everfit.tasks.registry import model_registry, tracking
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Retirement(Record):
    """The end of a model."""

    model: str
    by: str
    reason: str
    deleted_data: bool = False


def retire_model(retirement: Retirement, *, ledger: Ledger, workspace: Workspace, client: "MlflowClient") -> None:
    """Record the end of a model, and delete its data if asked, while no turn, scoring or release of it runs.

    The rows of the ledger stay: turns, decisions and releases, which hold no rows of data. MLflow marks versions and
    runs as deleted; `mlflow gc` deletes their files.

    Args:
        retirement: The model, who retires it, and whether to delete its data.
        ledger: The ledger.
        workspace: Where the model's folder is.
        client: The client of MLflow.

    Raises:
        BusyError: A turn, scoring or release of the model is running.
        SpecError: The ledger has no such model.
    """
    model = retirement.model
    known = known_models(ledger)
    if model not in known:
        raise SpecError(f"there is no model {model!r} in the ledger; it has {', '.join(sorted(known)) or 'none'}")
    holder = f"{retirement.by}, retiring"
    with (
        ledger.leases.hold(model, scope="turn", holder=holder),
        ledger.leases.hold(model, scope="scoring", holder=holder),
        ledger.leases.hold(model, scope="release", holder=holder),
    ):
        if retirement.deleted_data:
            _delete(model, workspace, client)
            former = {entry.record["old"] for entry in name_changes(ledger, model) if entry.kind == RENAMING} - known
            for name in sorted(former):  # a service that ran on after a renaming has logged under that name
                workspace.delete_folder(workspace.file(name))
        deleted = "; its data was deleted" if retirement.deleted_data else ""
        ledger.decisions.record(
            f"retirement:{model}:{datetime.now(UTC):%Y%m%dT%H%M%S.%f}",
            model=model,
            kind=RETIREMENT,
            verdict="retired",
            reasons=(f"retired by {retirement.by}: {retirement.reason}{deleted}",),
            record=retirement,
        )
        page = workspace.file(PAGES_FOLDER, model)
        if retirement.deleted_data and workspace.exists(page):  # it has distributions, and stories of predictions
            workspace.delete_folder(page)
            write_overview(ledger, workspace, {model: write_model(ledger, workspace, model, afresh=True)})


def _delete(model: str, workspace: Workspace, client: "MlflowClient") -> None:
    if model in model_registry.names(client):
        for version in model_registry.versions(client, model):
            model_registry.delete(client, model, version)
        client.delete_registered_model(model)
    for name in tracking.experiments_of(model):
        experiment = client.get_experiment_by_name(name)
        if experiment is not None and experiment.lifecycle_stage == "active":
            client.delete_experiment(experiment.experiment_id)
    workspace.delete_folder(workspace.file(model))
