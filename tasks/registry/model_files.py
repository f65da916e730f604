"""The files of registered models: load a version's pipeline, and check that it predicts."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import ArtifactError, ModelError
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.ledger import Ledger
from everfit.tasks.scoring.loading import checked_copy, explained

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from sklearn.pipeline import Pipeline


def load(client: "MlflowClient", ledger: Ledger, target: ModelVersion) -> "Pipeline":
    """Load the fitted pipeline of a version.

    everfit reads the file itself: MLflow would take the list of trusted types from the model that is to be checked.

    Raises:
        ArtifactError: The version's files are not those that were registered.
        ModelError: The version wasn't saved with skops, holds types that are not trusted, or can't be read.
    """
    with explained(target), checked_copy(client, ledger, target) as folder:
        return _pipeline(folder)


def check(client: "MlflowClient", ledger: Ledger, target: ModelVersion) -> None:
    """Check that a version's files are those that were registered; a version without recorded files passes.

    Raises:
        ArtifactError: A file differs, is missing, or was added.
        ModelError: The files can't be read from the store.
    """
    if ledger.artifacts.find(target) is None:
        return
    try:
        with checked_copy(client, ledger, target):
            pass
    except ModelError:
        raise
    except Exception as error:  # of the store
        raise ModelError(
            f"the files of version {target.version} of {target.model!r} can't be read: {type(error).__name__}: {error}"
        ) from error


def probe(client: "MlflowClient", ledger: Ledger, target: ModelVersion, rows: "pd.DataFrame | None" = None) -> None:
    """Check that a version loads and predicts finite values.

    Args:
        client: MLflow client of the registry.
        ledger: The ledger, which has the digests of the version's files.
        target: The version.
        rows: The rows to predict on; by default the input example that was logged with the version.

    Raises:
        ArtifactError: The version's files are not those that were registered.
        ModelError: The version can't be loaded, has no input example, fails, or predicts a value that is not finite.
    """
    import numpy as np

    name = f"version {target.version} of {target.model!r}"
    pipeline = load(client, ledger, target)
    inputs = _input_example(client, ledger, target) if rows is None else rows
    try:
        predictions = np.asarray(
            pipeline.predict_proba(inputs) if hasattr(pipeline, "predict_proba") else pipeline.predict(inputs)
        )
    except Exception as error:  # a model may raise anything
        raise ModelError(f"{name} can't predict: {type(error).__name__}: {error}") from error
    if len(predictions) != len(inputs):
        raise ModelError(f"{name} made {len(predictions)} predictions for {len(inputs)} rows")
    if not np.isfinite(predictions.astype(float)).all():
        raise ModelError(f"{name} predicts values that are not finite")


def _pipeline(folder: Path) -> "Pipeline":
    from everfit.tasks.models.skops_format import load_model

    return load_model(_model_file(folder).read_bytes())


def _model_file(folder: Path) -> Path:
    flavor = _metadata(folder).flavors.get("sklearn")
    if flavor is None:
        raise ModelError("it was not logged as a scikit-learn model")
    saved_as = flavor.get("serialization_format", "pickle")
    if saved_as != "skops":
        raise ModelError(f"it was saved as {saved_as!r}, and everfit loads only 'skops'; log it again with skops")
    file = (folder / str(flavor["pickled_model"])).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ModelError(f"its file {flavor['pickled_model']!r} lies outside the model's folder")
    return file


def _input_example(client: "MlflowClient", ledger: Ledger, target: ModelVersion) -> "pd.DataFrame":
    import pandas as pd

    name = f"version {target.version} of {target.model!r}"
    try:
        with checked_copy(client, ledger, target) as folder:
            example: Any = _metadata(folder).load_input_example(str(folder))
    except ArtifactError:
        raise
    except Exception as error:  # as in `load`
        raise ModelError(f"the input example of {name} can't be read: {type(error).__name__}: {error}") from error
    if not isinstance(example, pd.DataFrame) or example.empty:
        raise ModelError(f"{name} was logged without an input example; log it again with one")
    return example


def _metadata(folder: Path) -> Any:
    from mlflow.models import Model

    return Model.load(str(folder))
