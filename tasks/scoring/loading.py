"""Load versions from the registry as they are served, with their converted model and outlier detector."""

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
    """Download everything that is needed to predict as a version does.

    Args:
        client: Client of the registry.
        version: The version.
        folder: Empty folder for the files.

    Returns:
        Folder of the version's files.
    """
    from mlflow.artifacts import download_artifacts

    uri = client.get_model_version_download_uri(version.model, str(version.version))
    downloaded = Path(download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=client.tracking_uri))
    fetch_detector(client, version, downloaded)
    fetch_converted(client, version, downloaded)
    return downloaded


def load_scorer(client: "MlflowClient", version: ModelVersion) -> Scorer:
    """Load a version as the prediction service does, so that offline and served predictions are the same."""
    with TemporaryDirectory(prefix="everfit-model-") as folder:
        return read_scorer(fetch(client, version, Path(folder)), version)
