"""The files of registered models: load a version's pipeline, and check that it predicts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import ModelError
from everfit.tasks.core.records import ModelVersion

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from sklearn.pipeline import Pipeline


def load(client: "MlflowClient", target: ModelVersion) -> "Pipeline":
    """Load the fitted pipeline of a version.

    everfit reads the file itself: MLflow would take the list of trusted types from the model that is to be checked.

    Raises:
        ModelError: The version wasn't saved with skops, holds types that are not trusted, or can't be read.
    """
    from everfit.tasks.models.skops_format import load_model

    name = f"version {target.version} of {target.model!r}"
    try:
        with _downloaded(client, target) as folder:
            return load_model(_model_file(folder).read_bytes())
    except ModelError as error:
        raise ModelError(f"{name} can't be loaded: {error}") from error
    except Exception as error:  # of the store, of skops, or of a library that reads a broken file
        raise ModelError(f"{name} can't be loaded: {type(error).__name__}: {error}") from error


def probe(client: "MlflowClient", target: ModelVersion, rows: "pd.DataFrame | None" = None) -> None:
    """Check that a version loads and predicts finite values.

    Args:
        client: MLflow client of the registry.
        target: The version.
        rows: The rows to predict on; by default the input example that was logged with the version.

    Raises:
        ModelError: The version can't be loaded, has no input example, fails, or predicts a value that is not finite.
    """
    import numpy as np

    name = f"version {target.version} of {target.model!r}"
    pipeline = load(client, target)
    inputs = _input_example(client, target) if rows is None else rows
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


def _input_example(client: "MlflowClient", target: ModelVersion) -> "pd.DataFrame":
    import pandas as pd

    name = f"version {target.version} of {target.model!r}"
    try:
        with _downloaded(client, target) as folder:
            example: Any = _metadata(folder).load_input_example(str(folder))
    except Exception as error:  # as in `load`
        raise ModelError(f"the input example of {name} can't be read: {type(error).__name__}: {error}") from error
    if not isinstance(example, pd.DataFrame) or example.empty:
        raise ModelError(f"{name} was logged without an input example; log it again with one")
    return example


@contextmanager
def _downloaded(client: "MlflowClient", target: ModelVersion) -> Iterator[Path]:
    from mlflow.artifacts import download_artifacts

    source = client.get_model_version_download_uri(target.model, str(target.version))
    with TemporaryDirectory(prefix="everfit-model-") as folder:
        yield Path(download_artifacts(artifact_uri=source, dst_path=folder, tracking_uri=client.tracking_uri))


def _metadata(folder: Path) -> Any:
    from mlflow.models import Model

    return Model.load(str(folder))
