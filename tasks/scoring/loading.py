"""Versions of the registry as they are served: with what they were converted to, and with their outlier detector."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.released_format import fetch_converted
from everfit.tasks.scoring.outliers import fetch_detector
from everfit.tasks.scoring.scorer import Scorer, read_scorer

if TYPE_CHECKING:
    from mlflow import MlflowClient


def fetch(client: "MlflowClient", version: ModelVersion, folder: Path) -> Path:
    """Download all that is needed to answer as a version.

    Args:
        client: Of the registry.
        version: Which one.
        folder: An empty one, to download into.

    Returns:
        The folder with its files.
    """
    from mlflow.artifacts import download_artifacts

    uri = client.get_model_version_download_uri(version.model, str(version.version))
    found = Path(download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=client.tracking_uri))
    fetch_detector(client, version, found)
    fetch_converted(client, version, found)
    return found


def load_scorer(client: "MlflowClient", version: ModelVersion) -> Scorer:
    """Load a version as the prediction service does, so that what is asked is what is served."""
    with TemporaryDirectory(prefix="everfit-model-") as folder:
        return read_scorer(fetch(client, version, Path(folder)), version)
