"""Trace: from one prediction back to all that it came from."""

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
    """The chain behind a prediction; what isn't known is None, never made up."""

    prediction: dict[str, Any] = Field(description="The row of the prediction log.")
    label: dict[str, Any] | None = Field(default=None, description="The outcome, and since when that's known.")
    version: ModelVersion
    release: Release | None = Field(default=None, description="That made the version champion before it predicted.")
    turn: TurnStory | None = Field(default=None, description="That trained it: trigger, evidence, decisions, data.")
    git_commit: str = Field(default="", description="Of the code that trained it; empty if it wasn't recorded.")
    spec_digest: str = ""


def trace(
    prediction_id: str, model: str, *, predicted: Table, told: Table, ledger: Ledger, client: "MlflowClient"
) -> Trace:
    """Walk from a prediction to its version, run, data, decision, release, trigger and code.

    Args:
        prediction_id: As it was answered.
        model: That was asked.
        predicted: The prediction log.
        told: The labels.
        ledger: The ledger.
        client: Of the registry.

    Raises:
        DataError: the id is none, or the log doesn't have it.
        ModelError: the registry doesn't have the version, or doesn't answer.
    """
    row = _found(prediction_id, model, predicted)
    version = _version(client, ledger, model, int(row[prediction_log.MODEL_VERSION]))
    tags = _tags(client, version)
    turn = ledger.turns.find(tags.get(TURN_TAG, ""))
    return Trace(
        prediction=row,
        label=_label(told, row),
        version=version,
        release=_release(ledger, model, row),
        turn=None if turn is None else ledger.story(turn.id),
        git_commit=tags.get(COMMIT_TAG, ""),
        spec_digest="" if turn is None else turn.spec_digest,
    )


def _tags(client: "MlflowClient", version: ModelVersion) -> dict[str, str]:
    """Of the run that made a version; None if there is no such run (any more)."""
    from mlflow.exceptions import MlflowException

    if not version.run_id:
        return {}
    try:
        return dict(client.get_run(version.run_id).data.tags)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise ModelError(f"MLflow did not answer about run {version.run_id!r}: {error.message}") from error


def _version(client: "MlflowClient", ledger: Ledger, model: str, number: int) -> ModelVersion:
    """The version, also where upkeep has taken it from the registry: the turn that made it has it on record."""
    from everfit.tasks.turns.turn_record import TurnRecord

    try:
        return model_registry.model_version(client, model, number)
    except ModelError:
        for turn in ledger.turns.of(model):
            version = TurnRecord.recall(turn.record).version
            if version is not None and version.version == number:
                return version
        raise


def _found(prediction_id: str, model: str, predicted: Table) -> dict[str, Any]:
    try:
        row = prediction_log.find(predicted, prediction_id)
    except ValueError as error:
        raise DataError(f"{prediction_id!r} is no prediction's id; they look like 0190…-7…") from error
    if row is None:
        raise DataError(
            f"the log of {model!r} has no prediction {prediction_id!r}; one that was just answered is there in a moment"
        )
    return row


def _release(ledger: Ledger, model: str, row: dict[str, Any]) -> Release | None:
    """The last release of the version before the prediction; of a shadow, which was never released, none."""
    version, at = int(row[prediction_log.MODEL_VERSION]), row[prediction_log.PREDICTED_AT]
    made = [one for one in ledger.releases.of(model) if one.version == version and one.state != "undone"]
    earlier = [one for one in made if one.at <= at]
    if row[prediction_log.ARM] in {"challenger", "shadow"}:
        return earlier[-1] if earlier else None  # it answered without being released, whatever came of it later
    # A batch is dated by its window, which may well end before the release of the model that predicts it.
    return earlier[-1] if earlier else (made[0] if made else None)


def _label(told: Table, row: dict[str, Any]) -> dict[str, Any] | None:
    import pandas as pd

    found = labels.known_at(told, _FAR, pd.Series([row[KEY]]))
    if found.empty:
        return None
    one = found.iloc[0]
    return {
        "label": one[labels.LABEL],
        "label_time": one[labels.LABEL_TIME].isoformat(),
        "origin": one[labels.ORIGIN],
    }
