"""Choose the format of a released version: the fitted model, or its converted form.

Both are kept with the version's run; the version's tag names the served one.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from everfit.tasks.models.run_files import download_run_files

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from everfit.tasks.core.records import ModelVersion

FORMAT_TAG = "everfit.format"
_FOLDER, _FILE = "converted", "model.onnx"


def format_tags(name: str, problem: str = "") -> dict[str, str]:
    """Return the tags for a version's format, with the reason if it was not converted."""
    return {FORMAT_TAG: name, **({f"{FORMAT_TAG}_reason": problem[:500]} if problem else {})}


def log_converted(client: "MlflowClient", run_id: str, content: bytes) -> None:
    """Keep a converted model next to the fitted one."""
    with TemporaryDirectory(prefix="everfit-converted-") as folder:
        path = Path(folder, _FILE)
        path.write_bytes(content)
        client.log_artifact(run_id, str(path), _FOLDER)


def fetch_converted(client: "MlflowClient", version: "ModelVersion", folder: Path) -> None:
    """Download the converted model next to a version's files, if it is the served one."""
    tags = client.get_model_version(version.model, str(version.version)).tags
    if tags.get(FORMAT_TAG) != "onnx":
        return
    downloaded = download_run_files(client, version.run_id, f"{_FOLDER}/{_FILE}", folder)
    downloaded.replace(folder / _FILE)


def read_converted(folder: Path) -> bytes | None:
    """Return the converted model next to a version's files, or None if the fitted one is served."""
    path = folder / _FILE
    return path.read_bytes() if path.exists() else None
