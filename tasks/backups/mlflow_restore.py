"""Make a model's experiments, runs and registered versions again in another MLflow, through its interface.

MLflow gives runs and logged models new ids. Versions keep their numbers, and files keep their content.
"""

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from everfit.blocks.errors import ModelError
from everfit.tasks.backups.archive import Archive
from everfit.tasks.backups.mlflow_copy import REGISTRY, RUNS, VERSIONS, CopiedRegistry, CopiedRun, CopiedVersion
from everfit.tasks.registry import model_registry, tracking
from everfit.tasks.registry.model_registry import TRAINED_UNTIL_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from everfit.blocks.settings import Settings

T = TypeVar("T")

_AT_ONCE = 100
"""Entries of one request; MLflow refuses more parameters or tags."""

_PARENT = "mlflow.parentRunId"


class Ids:
    """The new ids by the old ones, and how to write them into texts."""

    def __init__(self, new: Mapping[str, str]) -> None:
        self.new = {old: now for old, now in new.items() if old}
        self._pattern = re.compile("|".join(map(re.escape, sorted(self.new, key=len, reverse=True))) or r"(?!)")

    def written(self, text: str) -> str:
        """Return a text with the new ids."""
        return self._pattern.sub(lambda match: self.new[match[0]], text)


def restore_mlflow(client: "MlflowClient", settings: "Settings", archive: Archive) -> tuple[Ids, CopiedRegistry]:
    """Make all that MLflow had of a model again; the aliases are set later.

    Args:
        client: Client of an MLflow that doesn't have the model.
        settings: The settings of the process; they say where files of the embedded MLflow are.
        archive: The backup.

    Returns:
        The new ids of runs and logged models, and the registered model.
    """
    registry = CopiedRegistry.model_validate(archive.read_json(REGISTRY), extra="ignore")
    experiments = {
        name: tracking.experiment_id(client, settings, name, tags) for name, tags in registry.experiments.items()
    }
    runs = [
        CopiedRun.model_validate(archive.read_json(f"{RUNS}/{name}"), extra="ignore")
        for name in archive.names(RUNS)
        if name.count("/") == 1 and name.endswith("/run.json")
    ]
    made: dict[str, str] = {}
    for run in sorted(runs, key=lambda one: (_PARENT in one.tags, one.start_time, one.run_id)):
        made[run.run_id] = _restore_run(client, experiments[run.experiment], run, archive, Ids(made))
    made |= _Versions(client, settings, archive, made).restore(registry)
    return Ids(made), registry


def delete_restored(client: "MlflowClient", model: str) -> None:
    """Delete what an interrupted restoring has made of a model."""
    if model in model_registry.names(client):
        for number in model_registry.versions(client, model):
            model_registry.delete(client, model, number)
        client.delete_registered_model(model)
    for name in tracking.experiments_of(model):
        experiment = client.get_experiment_by_name(name)
        if experiment is not None and experiment.lifecycle_stage == "active":
            # The name of a deleted experiment stays taken.
            client.rename_experiment(experiment.experiment_id, f"{name}-unfinished-{uuid.uuid4().hex[:8]}")
            client.delete_experiment(experiment.experiment_id)


def _restore_run(client: "MlflowClient", experiment_id: str, run: CopiedRun, archive: Archive, ids: Ids) -> str:
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

    tags = {name: ids.written(value) for name, value in run.tags.items()}
    some = {name: tags[name] for name in (_PARENT,) if name in tags}
    made = client.create_run(experiment_id, start_time=run.start_time, run_name=run.name or None, tags=some)
    run_id = str(made.info.run_id)
    for metrics in _parts([Metric(*metric) for metric in run.metrics]):
        client.log_batch(run_id, metrics=metrics)
    for params in _parts([Param(name, value) for name, value in run.params.items()]):
        client.log_batch(run_id, params=params)
    for part in _parts([RunTag(name, value.replace(run.run_id, run_id)) for name, value in tags.items()]):
        client.log_batch(run_id, tags=part)
    for dataset in run.datasets:
        fields = dict(dataset)
        used = [InputTag(name, value) for name, value in fields.pop("tags", {}).items()]
        client.log_inputs(run_id, [DatasetInput(Dataset(**fields), used)])
    with TemporaryDirectory(prefix="everfit-restore-") as folder:
        if archive.extract(f"{RUNS}/{run.run_id}/artifacts", Path(folder)):
            client.log_artifacts(run_id, folder)
    if run.status != "RUNNING":
        client.set_terminated(run_id, status=run.status, end_time=run.end_time)
    return run_id


@dataclass(frozen=True)
class _Versions:
    """The versions of a model that is being restored.

    Attributes:
        client: Client of MLflow.
        settings: The settings of the process.
        archive: The backup.
        runs: The new ids of runs by the old ones.
    """

    client: "MlflowClient"
    settings: "Settings"
    archive: Archive
    runs: Mapping[str, str]

    @property
    def model(self) -> str:
        return self.archive.manifest.model

    def restore(self, registry: CopiedRegistry) -> dict[str, str]:
        """Register all versions under their numbers; return the new ids of logged models by the old ones."""
        numbers = sorted({int(name.partition("/")[0]) for name in self.archive.names(VERSIONS)})
        if not numbers:
            return {}
        made: dict[str, str] = {}
        placeholders = []
        self.client.create_registered_model(self.model, registry.tags, registry.description or None)
        for number in range(1, numbers[-1] + 1):
            if number in numbers:
                copied = self.archive.read_json(f"{VERSIONS}/{number}/version.json")
                made |= self._restore(CopiedVersion.model_validate(copied, extra="ignore"))
            else:  # a version that was deleted before the backup, whose number is used up
                placeholders.append(self._placeholder())
        for taken in placeholders:
            self.client.delete_model_version(self.model, str(taken))
        return made

    def _placeholder(self) -> int:
        logged = self.client.create_logged_model(self._experiment(), name="placeholder")
        self.client.finalize_logged_model(logged.model_id, "READY")
        return int(self.client.create_model_version(self.model, f"models:/{logged.model_id}").version)

    def _restore(self, copied: CopiedVersion) -> dict[str, str]:
        client, run_id, described = self.client, self.runs.get(copied.run_id), copied.model
        logged = client.create_logged_model(
            experiment_id=client.get_run(run_id).info.experiment_id if run_id else self._experiment(),
            name=described.get("name") or "model",
            source_run_id=run_id,
            tags={name: value for name, value in described.get("tags", {}).items() if not name.startswith("mlflow.")},
            params=described.get("params") or None,
            model_type=described.get("type") or None,
        )
        with TemporaryDirectory(prefix="everfit-restore-") as folder:
            if self.archive.extract(f"{VERSIONS}/{copied.version}/files", Path(folder)):
                client.log_model_artifacts(logged.model_id, folder)
        client.finalize_logged_model(logged.model_id, "READY")
        # Without the tag a version counts as trained until its registration.
        registered_at = datetime.fromtimestamp(copied.created / 1000, UTC).isoformat()
        version = client.create_model_version(
            self.model,
            source=f"models:/{logged.model_id}",
            run_id=run_id,
            model_id=logged.model_id,
            tags={TRAINED_UNTIL_TAG: registered_at} | copied.tags,
            description=copied.description or None,
        )
        if int(version.version) != copied.version:
            raise ModelError(
                f"MLflow gave version {copied.version} of {self.model!r} the number {version.version}; restore into an "
                "MLflow that never had the model"
            )
        return {copied.model_id: str(logged.model_id)}

    def _experiment(self) -> str:
        return tracking.experiment_id(self.client, self.settings, self.model)


def _parts(entries: Iterable[T]) -> list[list[T]]:
    found = list(entries)
    return [found[start : start + _AT_ONCE] for start in range(0, len(found), _AT_ONCE)]


def aliases_of(registry: CopiedRegistry, champion: int | None) -> dict[str, int]:
    """Return the aliases to set: those of the backup, with the champion that the ledger names."""
    aliases = {name: number for name, number in registry.aliases.items() if name != model_registry.CHAMPION}
    if champion is not None:
        aliases[model_registry.CHAMPION] = champion
        aliases = {
            name: number for name, number in aliases.items() if name != model_registry.CHALLENGER or number != champion
        }
    return aliases
