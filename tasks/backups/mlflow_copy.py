"""Copy a model's experiments, runs and registered versions from MLflow to a backup, through MLflow's interface."""

import errno
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from everfit.tasks.backups.archive import ArchiveWriter
from everfit.tasks.core.records import Record
from everfit.tasks.models.artifacts import IGNORED
from everfit.tasks.registry import model_registry, tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RUNS, VERSIONS, REGISTRY = "mlflow/runs", "mlflow/versions", "mlflow/registry.json"


class CopiedRun(Record):
    """A run of MLflow.

    Attributes:
        metrics: Name, value, time in milliseconds and step of each metric.
        datasets: Each dataset's fields, with its tags under `tags`.
    """

    run_id: str
    experiment: str
    name: str
    status: str
    start_time: int
    end_time: int | None
    tags: dict[str, str]
    params: dict[str, str]
    metrics: tuple[tuple[str, float, int, int], ...]
    datasets: tuple[dict[str, Any], ...]


class CopiedVersion(Record):
    """A registered version, with the logged model that has its files.

    Attributes:
        model_id: Id of the logged model; empty for a version that was registered without one.
        model: The logged model's name, type, parameters and tags.
    """

    version: int
    run_id: str
    model_id: str
    created: int
    description: str
    tags: dict[str, str]
    model: dict[str, Any]


class CopiedRegistry(Record):
    """A registered model, without its versions."""

    description: str
    tags: dict[str, str]
    aliases: dict[str, int]
    experiments: dict[str, dict[str, str]]


def copy_mlflow(client: "MlflowClient", model: str, archive: ArchiveWriter) -> tuple[dict[str, int], list[str]]:
    """Copy all that MLflow has of a model.

    Args:
        client: Client of MLflow.
        model: Name of the model.
        archive: The backup.

    Returns:
        The numbers of runs and versions, and a sentence for each thing that could not be copied.
    """
    counts, problems = {"runs": 0, "versions": 0}, []
    experiments: dict[str, dict[str, str]] = {}
    for name in tracking.experiments_of(model):
        experiment = client.get_experiment_by_name(name)
        if experiment is None or experiment.lifecycle_stage != "active":
            continue
        experiments[name] = dict(experiment.tags)
        for run in _runs_of(client, experiment.experiment_id):
            problems += _copy_run(client, name, run, archive)
            counts["runs"] += 1
    for number in model_registry.versions(client, model) if model in model_registry.names(client) else ():
        problems += _copy_version(client, model, number, archive)
        counts["versions"] += 1
    registry = CopiedRegistry(description="", tags={}, aliases={}, experiments=experiments)
    if model in model_registry.names(client):
        registered = client.get_registered_model(model)
        aliases = {name: int(number) for name, number in registered.aliases.items()}
        registry = CopiedRegistry(
            description=registered.description or "",
            tags=dict(registered.tags),
            aliases=aliases,
            experiments=experiments,
        )
    archive.add_json(REGISTRY, registry.model_dump(mode="json"))
    return counts, problems


def _runs_of(client: "MlflowClient", experiment_id: str) -> "Iterator[Run]":
    page = None
    while True:
        runs = client.search_runs([experiment_id], max_results=1_000, page_token=page, order_by=["start_time ASC"])
        yield from runs
        page = runs.token
        if not page:
            return


def _copy_run(client: "MlflowClient", experiment: str, run: "Run", archive: ArchiveWriter) -> list[str]:
    run_id = run.info.run_id
    points = run.data.to_proto().metrics
    if run.data.tags.get(tracking.TURN_TAG) == tracking.TIMELINE:  # others have one point of each
        points = [point for one in points for point in client.get_metric_history(run_id, one.key)]
    metrics = [(one.key, one.value, int(one.timestamp), int(one.step)) for one in points]
    datasets = [
        {**dict(used.dataset), "tags": {tag.key: tag.value for tag in used.tags}}
        for used in (run.inputs.dataset_inputs if run.inputs else ())
    ]
    copied = CopiedRun(
        run_id=run_id,
        experiment=experiment,
        name=run.info.run_name or "",
        status=run.info.status,
        start_time=int(run.info.start_time or 0),
        end_time=run.info.end_time,
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        metrics=tuple(metrics),
        datasets=tuple(datasets),
    )
    archive.add_json(f"{RUNS}/{run_id}/run.json", copied.model_dump(mode="json"))
    with TemporaryDirectory(prefix="everfit-backup-") as folder:
        try:
            if client.list_artifacts(run_id):
                client.download_artifacts(run_id, "", folder)
        except Exception as error:  # noqa: BLE001 - of the store
            return [f"the files of run {run_id} can't be read: {_problem(error)}"]
        archive.add_folder(f"{RUNS}/{run_id}/artifacts", Path(folder))
    return []


def _copy_version(client: "MlflowClient", model: str, number: int, archive: ArchiveWriter) -> list[str]:
    from mlflow.artifacts import download_artifacts

    registered = client.get_model_version(model, str(number))
    logged: dict[str, Any] = {}
    if registered.model_id:
        found = client.get_logged_model(registered.model_id)
        logged = {"name": found.name, "type": found.model_type, "params": dict(found.params), "tags": dict(found.tags)}
    copied = CopiedVersion(
        version=number,
        run_id=registered.run_id or "",
        model_id=registered.model_id or "",
        created=int(registered.creation_timestamp),
        description=registered.description or "",
        tags=dict(registered.tags),
        model=logged,
    )
    archive.add_json(f"{VERSIONS}/{number}/version.json", copied.model_dump(mode="json"))
    with TemporaryDirectory(prefix="everfit-backup-") as folder:
        try:
            uri = client.get_model_version_download_uri(model, str(number))
            place = Path(download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=client.tracking_uri))
        except Exception as error:  # noqa: BLE001 - of the store
            return [f"the files of version {number} of {model!r} can't be read: {_problem(error)}"]
        archive.add_folder(f"{VERSIONS}/{number}/files", place, without=IGNORED)
    return []


def _problem(error: Exception) -> str:
    """Return an error in words; raise it if it is of the disk that is written to."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
        raise error
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
