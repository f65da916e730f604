"""Log a turn's run to MLflow; safe to repeat after a crash."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import ModelError
from everfit.blocks.settings import Settings
from everfit.tasks.core.records import Snapshot
from everfit.tasks.registry.code_version import code_version, package_versions
from everfit.tasks.registry.moved_folder import ARTIFACTS
from everfit.tasks.training.results import CandidateResult

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from everfit.tasks.evaluation.report import Report
    from everfit.tasks.evaluation.scored_rows import ScoredRows

TURN_TAG, TRY_TAG = "everfit.turn", "everfit.try"
PACKAGES_TAG = "everfit.packages"
CARD_FILE = "model_card.md"
TIMELINE = "by-window"
"""The name of the run that has the numbers of all looks. It does not have the model's, which may change."""

_COMMIT_LENGTH = 40


def experiments_of(model: str) -> tuple[str, str]:
    """Return the names of a model's experiments: that of its turns, and that of the looks at its windows."""
    return model, f"{model}-monitoring"


def experiment_id(client: "MlflowClient", settings: Settings, name: str, tags: Mapping[str, str] | None = None) -> str:
    """Return the id of an experiment; create it if it doesn't exist.

    Args:
        client: MLflow client.
        settings: The settings of the process.
        name: Name of the experiment.
        tags: Tags of an experiment that is created.

    Raises:
        ModelError: The experiment was deleted.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        from mlflow.exceptions import MlflowException

        # A server has its own place for artifacts; with the embedded database they go into the state folder.
        embedded = os.environ["MLFLOW_TRACKING_URI"].startswith("sqlite:")
        location = (settings.state_dir / ARTIFACTS / name).as_uri() if embedded else None
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=dict(tags or {})))
        except MlflowException:  # another process created it meanwhile
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        raise ModelError(
            f"the experiment {name!r} was deleted in MLflow, with the runs of the model; restore it by "
            f"`mlflow experiments restore --experiment-id {experiment.experiment_id}`"
        )
    return str(experiment.experiment_id)


def turn_run(client: "MlflowClient", settings: Settings, model: str, turn_id: str) -> str:
    """Return the id of the run of a turn or of a monitored window; create the run if it doesn't exist.

    The run only keeps results, and the ledger knows what still runs. So the run is ended at once, and stays ended if
    this process is killed; results can be logged to it all the same.

    Args:
        client: MLflow client.
        settings: The settings of the process.
        model: Name of the experiment.
        turn_id: Name of the run.

    Raises:
        ModelError: The model's experiment was deleted.
    """
    experiment = experiment_id(client, settings, model)
    run = _run_of(client, experiment, turn_id)
    if run is None:
        _end_interrupted(client, experiment)
        run = client.create_run(experiment, run_name=turn_id, tags={TURN_TAG: turn_id, **_code_tags()})
    if run.info.status == "RUNNING":  # it is new, or its process was killed before the next line
        client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def find_turn_run(client: "MlflowClient", model: str, turn_id: str) -> str:
    """Return the id of the run of a turn as `turn_run` made it, or an empty text without one."""
    experiment = client.get_experiment_by_name(model)
    run = None if experiment is None else _run_of(client, experiment.experiment_id, turn_id)
    return "" if run is None else str(run.info.run_id)


def _run_of(client: "MlflowClient", experiment: str, turn_id: str) -> "Run | None":
    runs = client.search_runs([experiment], f"tags.`{TURN_TAG}` = '{turn_id}'", max_results=1)
    return runs[0] if runs else None


def _end_interrupted(client: "MlflowClient", experiment_id: str) -> None:
    """End everfit's runs that a killed process has left open. A model runs one turn at a time, so no other is open."""
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        if {TURN_TAG, TRY_TAG} & run.data.tags.keys():
            client.set_terminated(run.info.run_id, status="KILLED")


def log_turn(
    client: "MlflowClient",
    run_id: str,
    *,
    parameters: Mapping[str, object],
    metrics: Mapping[str, float],
    documents: Mapping[str, Mapping[str, Any]],
    snapshot: Snapshot,
) -> None:
    """Log the results of a turn; safe to repeat.

    Args:
        client: MLflow client.
        run_id: The turn's run.
        parameters: The chosen settings.
        metrics: The measured values.
        documents: File name to content, stored as JSON.
        snapshot: The data, as the run's dataset input.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    timestamp = 0  # One point for each metric, also if a resumed turn logs it again.
    client.log_batch(
        run_id,
        metrics=[Metric(name, float(value), timestamp, 0) for name, value in metrics.items()],
        params=[Param(name, str(value)) for name, value in parameters.items()],
    )
    for name, document in documents.items():
        client.log_dict(run_id, dict(document), name)
    dataset = Dataset(
        name="dataset",
        digest=snapshot.content_digest[:36],
        source_type="delta",
        source=json.dumps({"uri": snapshot.uri, "version": snapshot.version, "window": str(snapshot.window)}),
        profile=json.dumps({"num_rows": snapshot.rows}),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def log_report(client: "MlflowClient", run_id: str, report: "Report", scored: "ScoredRows", card: str) -> None:
    """Log a report as JSON and model card, and with pictures if the spec asks for full evidence."""
    client.log_dict(run_id, report.model_dump(mode="json"), "evidence/evidence.json")
    client.log_text(run_id, card, CARD_FILE)
    attribution = {"method": "permutation" if report.shap is None else "shap", "features": report.attribution}
    client.log_dict(run_id, attribution, "reference/attribution.json")
    if not report.full:
        return
    from everfit.tasks.evaluation import plots

    with TemporaryDirectory(prefix="everfit-evidence-") as folder:
        for name, picture in plots.png_plots(report, scored).items():
            Path(folder, name).write_bytes(picture)
        Path(folder, "report.html").write_text(plots.report_page(report, scored), encoding="utf-8")
        client.log_artifacts(run_id, folder, "evidence")


def log_tries(client: "MlflowClient", run_id: str, trials: Sequence[CandidateResult]) -> None:
    """Log each tried setting as a child run of the turn's run; existing runs stay unchanged."""
    from mlflow.entities import Metric, Param

    experiment = client.get_run(run_id).info.experiment_id
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'", max_results=50_000)
    known = {run.data.tags.get(TRY_TAG) for run in children if run.info.status == "FINISHED"}
    for trial in trials:
        for number, tried in enumerate(trial.tries):
            name = f"{trial.candidate} {number + 1}"
            if name in known:
                continue
            tags = {"mlflow.parentRunId": run_id, TRY_TAG: name, "everfit.error": tried.error[:500]}
            run = client.create_run(experiment, run_name=name, tags={**tags, "everfit.pruned": str(tried.pruned)})
            setting = {"candidate": trial.candidate, "span": tried.setting.span, **tried.setting.parameters}
            metrics = {f"fold.{fold}.{trial.metric}": score for fold, score in enumerate(tried.folds)}
            if tried.score is not None:
                metrics[f"validation.{trial.metric}"] = tried.score
            client.log_batch(
                run.info.run_id,
                metrics=[Metric(key, value, 0, 0) for key, value in metrics.items()],
                params=[Param(key, str(value)) for key, value in setting.items()],
            )
            client.set_terminated(run.info.run_id)


def _code_tags() -> dict[str, str]:
    tags = {PACKAGES_TAG: json.dumps(package_versions()), "everfit.code_version": code_version()}
    commit = code_version().removesuffix("+changed")
    return {**tags, "mlflow.source.git.commit": commit} if len(commit) == _COMMIT_LENGTH else tags
