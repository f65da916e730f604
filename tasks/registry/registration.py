"""Register a turn's model as a version, once."""

import importlib.metadata
from typing import TYPE_CHECKING, Any

from everfit.tasks.core.records import ModelVersion
from everfit.tasks.data.split import TrainingData
from everfit.tasks.models import released_format
from everfit.tasks.models.input_schema import InputSchema, typical_values
from everfit.tasks.models.logged_model import EXAMPLE_KEY, MADE_UP
from everfit.tasks.models.skops_format import trusted_types
from everfit.tasks.registry.code_version import MODEL_REQUIREMENTS
from everfit.tasks.registry.local_files import make_durable
from everfit.tasks.registry.mlflow_checks import checked_by_name, example_untried
from everfit.tasks.registry.model_registry import SNAPSHOT_TAG, TRAINED_UNTIL_TAG, model_version
from everfit.tasks.registry.tracking import TURN_TAG
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.training.results import Fitted, read_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from everfit.tasks.evaluation.conversion import Conversion

THRESHOLD_TAG = "everfit.threshold"


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
    """Log the model of a turn and register it; safe to repeat.

    The version's tags say which rows the model was trained on, so that no later comparison uses them.

    Args:
        client: MLflow client.
        run_id: The turn's run.
        data: The data that the model was trained on.
        fitted: The fitted model.
        turn_id: The turn.
        description: Description of the version.
        conversion: The model in another format, if it was converted.
    """
    from mlflow.exceptions import MlflowException

    name, digest = data.spec.name, data.snapshot.content_digest
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    existing = _versions_of(client, name, run_id)
    if not existing:
        uri, model_id = _log_model(run_id, data, fitted)
        tags = {TURN_TAG: turn_id, TRAINED_UNTIL_TAG: fitted.trained_on.until.isoformat(), SNAPSHOT_TAG: digest}
        if fitted.threshold is not None:
            tags[THRESHOLD_TAG] = repr(fitted.threshold)
        tags |= _format_tags(conversion)
        if conversion is not None and conversion.path is not None:
            released_format.log_converted(client, run_id, data.workspace.read(conversion.path))
        # The registry's database is flushed by itself: after a power cut it must not name files that are gone.
        logged = [client.get_logged_model(model_id).artifact_location] if model_id else []
        make_durable([*logged, client.get_run(run_id).info.artifact_uri])
        existing = [
            client.create_model_version(
                name, source=uri, run_id=run_id, model_id=model_id, tags=tags, description=description
            )
        ]
    return ModelVersion(
        model=name,
        version=int(existing[0].version),
        run_id=run_id,
        trained_until=fitted.trained_on.until,
        snapshot_digest=digest,
    )


def registered_by(client: "MlflowClient", model: str, run_id: str) -> ModelVersion | None:
    """Return the version that a run has registered, or None."""
    existing = _versions_of(client, model, run_id)
    return model_version(client, model, int(existing[0].version)) if existing else None


def _versions_of(client: "MlflowClient", model: str, run_id: str) -> list[Any]:
    return list(client.search_model_versions(f"name = '{model}' and run_id = '{run_id}'"))


def read_threshold(client: "MlflowClient", version: ModelVersion) -> float | None:
    """Return the threshold of the highest business value in training; None if the spec states no value."""
    threshold = client.get_model_version(version.model, str(version.version)).tags.get(THRESHOLD_TAG)
    return None if threshold is None else float(threshold)


def _format_tags(conversion: "Conversion | None") -> dict[str, str]:
    if conversion is None:
        return {}
    if conversion.path is not None:
        return released_format.format_tags(conversion.evidence.format)
    return released_format.format_tags("skops", conversion.evidence.problem)


def _log_model(run_id: str, data: TrainingData, fitted: Fitted) -> tuple[str, str | None]:
    import mlflow
    from mlflow.models import infer_signature

    model = read_model(fitted, data.workspace)
    rows, roles = data.rows(fitted.trained_on, "show as an example", data.spec.columns.key), data.spec.columns
    inputs = InputSchema.of_frame(
        rows,
        task=data.spec.task,
        features=fitted.features,
        key=roles.key,
        identity=roles.identity,
        event_time=roles.event_time or "event_time",
        target=roles.target,
        meanings=read_kinds(data.workspace, data.spec.name),
        prose=roles.text,
    )
    example = rows[list(fitted.features)].head(200)  # the signature has its types alone
    with mlflow.start_run(run_id=run_id), checked_by_name(), example_untried():
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            serialization_format="skops",
            skops_trusted_types=trusted_types(data.workspace.read(fitted.path)),
            signature=infer_signature(example, model.predict(example)),
            # Not a row of the training data: whoever loads a model should not see a person's row.
            input_example=inputs.made_up_rows(typical_values(example, fitted.features)),
            metadata=inputs.metadata() | {EXAMPLE_KEY: MADE_UP},
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in MODEL_REQUIREMENTS],
        )
    return logged.model_uri, logged.model_id
