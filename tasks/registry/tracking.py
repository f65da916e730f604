"""Track: put a turn and its model into MLflow, once, whatever was killed when."""

import importlib.metadata
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion, Snapshot
from everfit.tasks.data.split import TrainingData
from everfit.tasks.models import released_format
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.models.skops_format import trusted_types
from everfit.tasks.registry.model_registry import SNAPSHOT_TAG, TRAINED_UNTIL_TAG
from everfit.tasks.training.results import CandidateResult, Fitted, read_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from everfit.tasks.evaluation.conversion import Conversion
    from everfit.tasks.evaluation.report import Report
    from everfit.tasks.evaluation.scored_rows import ScoredRows

TURN_TAG, THRESHOLD_TAG, TRY_TAG = "everfit.turn", "everfit.threshold", "everfit.try"
PACKAGES_TAG = "everfit.packages"

_COMMIT_LENGTH = 40

# What a model needs to be loaded. MLflow would work this out by loading the model anew, for about 6 s each time.
_REQUIREMENTS = ("scikit-learn", "skops", "numpy", "pandas", "scipy")
_RECORDED_PACKAGES = (
    *_REQUIREMENTS,
    "everfit",
    "mlflow",
    "prefect",
    "great-expectations",
    "evidently",
    "deltalake",
    "pyarrow",
)


def turn_run(client: "MlflowClient", settings: Settings, model: str, turn_id: str) -> str:
    """The id of the turn's one run, made if need be."""
    experiment = client.get_experiment_by_name(model)
    if experiment is None:
        from mlflow.exceptions import MlflowException

        # A server keeps artifacts where it was told to; beside the embedded database they go into the state folder.
        embedded = os.environ["MLFLOW_TRACKING_URI"].startswith("sqlite:")
        location = (settings.state_dir / "mlflow-artifacts" / model).as_uri() if embedded else None
        try:
            experiment_id = client.create_experiment(model, artifact_location=location)
        except MlflowException:  # another process made it in between
            experiment = client.get_experiment_by_name(model)
            if experiment is None:
                raise
            experiment_id = experiment.experiment_id
    else:
        experiment_id = experiment.experiment_id
    found = client.search_runs([experiment_id], f"tags.`{TURN_TAG}` = '{turn_id}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    return str(client.create_run(experiment_id, run_name=turn_id, tags={TURN_TAG: turn_id, **_code_tags()}).info.run_id)


def log_turn(
    client: "MlflowClient",
    run_id: str,
    *,
    parameters: Mapping[str, object],
    metrics: Mapping[str, float],
    documents: Mapping[str, Mapping[str, Any]],
    snapshot: Snapshot,
) -> None:
    """Log what a turn found: the same again changes nothing.

    Args:
        client: Of the tracking server.
        run_id: The turn's run.
        parameters: What was chosen.
        metrics: What was measured.
        documents: File name to content, kept as JSON.
        snapshot: The data, as the run's dataset input.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    now = 0  # One point a metric: logged again by a turn that was taken up again, it is still one.
    client.log_batch(
        run_id,
        metrics=[Metric(name, float(value), now, 0) for name, value in metrics.items()],
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
    """Log a report as JSON and model card; and with pictures, where the spec asks for full evidence."""
    client.log_dict(run_id, report.model_dump(mode="json"), "evidence/evidence.json")
    client.log_text(run_id, card, "model_card.md")
    attribution = {"method": "permutation" if report.shap is None else "shap", "features": report.attribution}
    client.log_dict(run_id, attribution, "reference/attribution.json")
    if not report.full:
        return
    from everfit.tasks.evaluation import plots

    with TemporaryDirectory(prefix="everfit-evidence-") as folder:
        for name, picture in plots.png_plots(report, scored).items():
            Path(folder, name).write_bytes(picture)
        Path(folder, "report.html").write_text(plots.html_page(report, scored), encoding="utf-8")
        client.log_artifacts(run_id, folder, "evidence")


def log_tries(client: "MlflowClient", run_id: str, trials: Sequence[CandidateResult]) -> None:
    """Log each setting that was tried as a run below the turn's; those that are there already stay as they are."""
    from mlflow.entities import Metric, Param

    experiment = client.get_run(run_id).info.experiment_id
    there = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'", max_results=50_000)
    known = {run.data.tags.get(TRY_TAG) for run in there if run.info.status == "FINISHED"}
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


def register_model(
    client: "MlflowClient",
    run_id: str,
    data: TrainingData,
    fitted: Fitted,
    *,
    turn_id: str,
    description: str,
    conversion: "Conversion | None" = None,
) -> ModelVersion:
    """Log the turn's model and register it, once.

    The version says in its tags what the model has seen, so that no later comparison uses those rows.
    """
    from mlflow.exceptions import MlflowException

    name, digest = data.spec.name, data.snapshot.content_digest
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    found = list(client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'"))
    if not found:
        uri, model_id = _log_model(run_id, data, fitted)
        tags = {TURN_TAG: turn_id, TRAINED_UNTIL_TAG: fitted.trained_on.until.isoformat(), SNAPSHOT_TAG: digest}
        if fitted.threshold is not None:
            tags[THRESHOLD_TAG] = repr(fitted.threshold)
        tags |= _format_tags(conversion)
        if conversion is not None and conversion.path is not None:
            released_format.log_converted(client, run_id, data.workspace.read(conversion.path))
        found = [
            client.create_model_version(
                name, source=uri, run_id=run_id, model_id=model_id, tags=tags, description=description
            )
        ]
    return ModelVersion(
        model=name,
        version=int(found[0].version),
        run_id=run_id,
        trained_until=fitted.trained_on.until,
        snapshot_digest=digest,
    )


def _format_tags(conversion: "Conversion | None") -> dict[str, str]:
    if conversion is None:
        return {}
    if conversion.path is not None:
        return released_format.format_tags(conversion.evidence.format)
    return released_format.format_tags("skops", conversion.evidence.problem)


def threshold(client: "MlflowClient", version: ModelVersion) -> float | None:
    """The threshold that was worth most when a version was trained; none without a value in its spec."""
    found = client.get_model_version(version.model, str(version.version)).tags.get(THRESHOLD_TAG)
    return None if found is None else float(found)


def _log_model(run_id: str, data: TrainingData, fitted: Fitted) -> tuple[str, str | None]:
    import mlflow
    from mlflow.models import infer_signature

    model = read_model(fitted, data.workspace)
    rows, roles = data.rows(fitted.trained_on, "show as an example", data.spec.columns.key), data.spec.columns
    inputs = InputSchema.of_frame(
        rows, task=data.spec.task, features=fitted.features, key=roles.key, event_time=roles.event_time or "event_time"
    )
    example = rows[list(fitted.features)].head(200)
    with mlflow.start_run(run_id=run_id):
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            serialization_format="skops",
            skops_trusted_types=trusted_types(data.workspace.read(fitted.path)),
            signature=infer_signature(example, model.predict(example)),
            input_example=example.head(5),
            metadata=inputs.metadata(),
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in _REQUIREMENTS],
        )
    return logged.model_uri, logged.model_id


def _code_tags() -> dict[str, str]:
    tags = {PACKAGES_TAG: json.dumps(package_versions()), "everfit.code_version": code_version()}
    commit = code_version().removesuffix("+changed")
    return {**tags, "mlflow.source.git.commit": commit} if len(commit) == _COMMIT_LENGTH else tags


@cache
def code_version() -> str:
    """Which code runs: its git commit (with `+changed` if it was edited since), or the installed version.

    An image has no git in it, and says by `EVERFIT_COMMIT` what it was built from.
    """
    here = Path(__file__).parent
    installed = os.environ.get("EVERFIT_COMMIT") or importlib.metadata.version("everfit")
    # In a wheel installed inside somebody's repository, git would tell of that repository.
    if _git(here, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return installed
    commit, changed = _git(here, "rev-parse", "HEAD"), _git(here, "status", "--porcelain", "--untracked-files=no")
    return installed if commit is None else f"{commit}+changed" if changed else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def package_versions() -> dict[str, str]:
    """The versions of the packages that a turn's result may depend on."""
    versions = {}
    for name in _RECORDED_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
