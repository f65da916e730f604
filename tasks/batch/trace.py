"""Trace a prediction back to its model version, data, decision and code."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from everfit.blocks.errors import DataError, ModelError
from everfit.tasks.core.records import ModelVersion, Record
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.records import Release, TurnStory
from everfit.tasks.predictions import labels, prediction_log
from everfit.tasks.registry import model_registry
from everfit.tasks.storage.tables import KEY, Table

if TYPE_CHECKING:
    from mlflow import MlflowClient

_FAR = datetime(2200, 1, 1, tzinfo=UTC)

TURN_TAG, COMMIT_TAG = "everfit.turn", "mlflow.source.git.commit"


class Trace(Record):
    """The chain behind a prediction; unknown parts are None."""

    prediction: dict[str, Any] = Field(description="The row of the prediction log.")
    label: dict[str, Any] | None = Field(default=None, description="The label, and when it became known.")
    version: ModelVersion
    release: Release | None = Field(
        default=None, description="The release that made the version champion before it predicted."
    )
    turn: TurnStory | None = Field(
        default=None, description="The turn that trained it: trigger, evidence, decisions, data."
    )
    git_commit: str = Field(default="", description="Commit of the code that trained it; empty if it wasn't recorded.")
    spec_digest: str = ""


def trace_prediction(
    prediction_id: str, model: str, *, predicted: Table, labelled: Table, ledger: Ledger, client: "MlflowClient"
) -> Trace:
    """Trace a prediction to its version, run, data, decision, release, trigger and code.

    Args:
        prediction_id: The id that was returned with the prediction.
        model: Name of the model.
        predicted: The prediction log.
        labelled: The labels table.
        ledger: The ledger.
        client: MLflow client of the registry.

    Raises:
        DataError: The id is invalid, or the log doesn't have it.
        ModelError: The registry doesn't have the version, or doesn't answer.
    """
    row = _find_row(prediction_id, model, predicted)
    version = _version(client, ledger, model, int(row[prediction_log.MODEL_VERSION]))
    tags = _tags(client, version)
    turn = ledger.turns.find(tags.get(TURN_TAG, ""))
    return Trace(
        prediction=row,
        label=_label(labelled, row),
        version=version,
        release=_release(ledger, model, row),
        turn=None if turn is None else ledger.story(turn.id),
        git_commit=tags.get(COMMIT_TAG, ""),
        spec_digest="" if turn is None else turn.spec_digest,
    )


def _tags(client: "MlflowClient", version: ModelVersion) -> dict[str, str]:
    """Return the tags of a version's run; empty if there is no such run."""
    from mlflow.exceptions import MlflowException

    if not version.run_id:
        return {}
    try:
        return dict(client.get_run(version.run_id).data.tags)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise ModelError(f"run {version.run_id!r} can't be read from MLflow: {error.message}") from error


def _version(client: "MlflowClient", ledger: Ledger, model: str, number: int) -> ModelVersion:
    """Return the version; if upkeep deleted it from the registry, read it from the turn that made it."""
    from everfit.tasks.turns.turn_record import TurnRecord

    try:
        return model_registry.model_version(client, model, number)
    except ModelError:
        for turn in ledger.turns.of(model):
            version = TurnRecord.recall(turn.record).version
            if version is not None and version.version == number:
                return version
        raise


def _find_row(prediction_id: str, model: str, predicted: Table) -> dict[str, Any]:
    try:
        row = prediction_log.find_prediction(predicted, prediction_id)
    except ValueError as error:
        raise DataError(f"{prediction_id!r} is not the id of a prediction; ids look like 0190…-7…") from error
    if row is None:
        raise DataError(
            f"the log of {model!r} has no prediction {prediction_id!r}; a new prediction is there in a moment"
        )
    return row


def _release(ledger: Ledger, model: str, row: dict[str, Any]) -> Release | None:
    """Return the last release of the version before the prediction; None for a shadow, which was never released."""
    version, at = int(row[prediction_log.MODEL_VERSION]), row[prediction_log.PREDICTED_AT]
    releases = [one for one in ledger.releases.of(model) if one.version == version and one.state != "undone"]
    earlier = [one for one in releases if one.at <= at]
    if row[prediction_log.ARM] in {"challenger", "shadow"}:
        return earlier[-1] if earlier else None  # it predicted without being released; later releases don't count
    # A batch has the time of its window, which may end before the release of the model.
    return earlier[-1] if earlier else (releases[0] if releases else None)


def _label(labelled: Table, row: dict[str, Any]) -> dict[str, Any] | None:
    import pandas as pd

    known = labels.known_at(labelled, _FAR, pd.Series([row[KEY]]))
    if known.empty:
        return None
    newest = known.iloc[0]
    return {
        "label": newest[labels.LABEL],
        "label_time": newest[labels.LABEL_TIME].isoformat(),
        "origin": newest[labels.ORIGIN],
    }
