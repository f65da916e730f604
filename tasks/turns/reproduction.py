"""Reproduce: train a turn's model again from what the turn left, and see whether it is the same."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from everfit.blocks.errors import DataError, EverfitError, WorkspaceError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Record
from everfit.tasks.core.spec_keys import with_current_keys
from everfit.tasks.data.commit import take_snapshot
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation.remedies import remade
from everfit.tasks.evaluation.remedy_ladder import REFIT
from everfit.tasks.evaluation.report import Report, predictions_digest
from everfit.tasks.evaluation.scored_rows import EarlierModel, score_rows
from everfit.tasks.models.skops_format import load_model
from everfit.tasks.registry.code_version import code_version, package_versions
from everfit.tasks.registry.own_code import COMMIT, changed_packages, own_code
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.storage.table_files import is_whole
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.training.fitting import fit
from everfit.tasks.training.results import Fitted
from everfit.tasks.training.worker_fit import WorkerFit, needs_workers
from everfit.tasks.turns.package import Package, read_package
from everfit.tasks.turns.turn_record import TurnRecord

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Sameness = Literal["identical", "different"]


class NotReproducibleError(WorkspaceError):
    """Rows that a turn trained on are gone: too old to be kept, or removed on request."""


class Reproduction(Record):
    """Whether a turn's model came out the same when it was trained again."""

    turn_id: str
    data: Sameness
    parameters: Sameness
    metrics: Sameness
    predictions: Sameness
    differences: tuple[str, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict, description="Changed versions of code and packages.")

    @property
    def identical(self) -> bool:
        """Whether nothing differs."""
        return {self.data, self.parameters, self.metrics, self.predictions} == {"identical"}


def reproduce(workspace: Workspace, model: str, turn_id: str) -> Reproduction:
    """Train a turn's challenger again: same rows, spec, parameters and seed; and judge it on the same hold-out.

    Nothing of the workspace is changed.

    Args:
        workspace: Where the dataset and the turn's package are.
        model: The model's name.
        turn_id: The turn.

    Raises:
        NotReproducibleError: rows that it trained on are gone.
        WorkspaceError: the turn left no package.
    """
    package = read_package(workspace, model, turn_id)
    spec = ModelSpec.model_validate({**with_current_keys(package.spec), "name": model})  # it may have been renamed
    record = TurnRecord.recall(package.turn["record"])
    report = Report.recall(package.evidence)
    snapshot, split, fitted, evidence = record.snapshot, record.split, record.fitted, record.evidence
    if snapshot is None or split is None or fitted is None or evidence is None:
        raise WorkspaceError(f"turn {turn_id!r} trained no model, so there is nothing to make again")
    if not is_whole(workspace, workspace.table(model, "dataset"), snapshot.version, snapshot.window):
        raise NotReproducibleError(f"turn {turn_id!r} can't be reproduced any more: rows that it trained on are gone")
    differences: list[str] = []
    now = take_snapshot(spec, snapshot.window, workspace, snapshot.version)
    if now.content_digest != snapshot.content_digest:
        differences.append(
            f"data: {now.rows:,} rows with digest {now.content_digest[:12]}, then {snapshot.rows:,} rows"
        )
    until = datetime.fromisoformat(package.turn["until"])
    data = TrainingData(spec, snapshot.model_copy(update={"uri": now.uri}), split, until, workspace)
    parameters = _parameter_differences(data, record)
    metrics, predictions = ["metrics: not measured"], ["predictions: none"]
    try:
        models = []
        for one in fitted.chain:
            made, rows, workers = _made_again(data, one)
            if rows != one.rows:
                parameters.append(f"parameters: fitted on {rows:,} rows, then on {one.rows:,}")
            if workers != one.workers:
                parameters.append(f"parameters: fitted by {workers} Dask workers, then by {one.workers}")
            models.append(made)
        held_out = data.rows(split.holdout.model_copy(update={"since": evidence.holdout.since}), "judge on")
        earlier = [
            EarlierModel(model, judged)
            for model, judged in zip(models[:-1], fitted.judged(held_out[spec.columns.time]), strict=False)
        ]
        scored = score_rows(spec, held_out, {"challenger": models[-1]}, earlier)
        metrics = _metric_differences(evidence.challenger, scored.truth, scored.scores["challenger"])
        same = predictions_digest(scored) == report.predictions_digest
        predictions = [] if same else ["predictions: another digest on the hold-out"]
    except (EverfitError, ValueError) as error:
        differences.append(f"training: {error}")
    return Reproduction(
        turn_id=turn_id,
        data="different" if any(difference.startswith("data") for difference in differences) else "identical",
        parameters="different" if parameters else "identical",
        metrics="different" if metrics else "identical",
        predictions="different" if predictions else "identical",
        differences=(*differences, *parameters, *metrics, *predictions),
        versions=_version_differences(package, spec),
    )


def _made_again(data: TrainingData, one: Fitted) -> tuple["Pipeline", int, int]:
    """Fit a model again; a remedy that fits nothing but a correction is made again of the version it was made of.

    Returns:
        The model, the number of its rows, and that of the Dask workers that fitted it.
    """
    rows = data.training_rows(one.trained_on)
    if one.remedied is None or one.remedied.remedy == REFIT:
        by_workers = WorkerFit(data, one.candidate, one.trained_on) if needs_workers(one.candidate) else None
        made = fit(data.spec, list(one.features), one.candidate, one.setting, rows, elsewhere=by_workers)
        return (made, len(rows), 0) if by_workers is None else (made, by_workers.rows, by_workers.workers)
    base = load_model(data.workspace.read(one.remedied.base))
    return remade(data, one.remedied, base, one.trained_on.until)[0], len(rows), 0


def _parameter_differences(data: TrainingData, record: TurnRecord) -> list[str]:
    assert record.fitted is not None  # noqa: S101 - looked at before
    differences = []
    if tuple(data.features) != record.fitted.features:
        differences.append(f"parameters: features {data.features!r}, then {list(record.fitted.features)!r}")
    chosen = next((result for result in record.candidates if result.candidate == record.fitted.candidate), None)
    by_later_rows = record.fitted.best is not None  # which choose among spans and former champions as well
    if not by_later_rows and (chosen is None or chosen.setting != record.fitted.setting):
        differences.append(f"parameters: {record.fitted.setting.parameters!r} are not those that were chosen")
    return differences


def _metric_differences(
    then: dict[str, Any],
    truth: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
) -> list[str]:
    differences = []
    for name, value in then.items():
        try:
            now = metric(name).score(truth, scores)
        except DataError:
            now = None
        if now != value:
            differences.append(f"metrics: {name} {now!r}, then {value!r}")
    return differences


def _version_differences(package: Package, spec: ModelSpec) -> dict[str, str]:
    """Return the changed versions of code and packages: `now, then` by name."""
    then, now = package.environment, package_versions()
    versions = {
        name: f"{now.get(name, 'not installed')}, then {version}"
        for name, version in then["packages"].items()
        if now.get(name) != version
    }
    if code_version() != then["code_version"]:
        versions["everfit's code"] = f"{code_version()}, then {then['code_version']}"
    if (earlier := then.get("own_code")) is not None:  # a package of an earlier everfit has none
        present = own_code(spec, earlier)
        for name in changed_packages(present, earlier):
            versions[f"your own {name}"] = f"{_code(present, name)}, then {_code(earlier, name)}"
    return versions


def _code(code: dict[str, str], name: str) -> str:
    """Return own code in a few words: its commit, and the beginning of its digest."""
    commit = code.get(f"{COMMIT} {name}")
    return f"{code.get(name, 'not named')[:12]}{f' of commit {commit[:12]}' if commit else ''}"
