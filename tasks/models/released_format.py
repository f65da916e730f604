"""The format in which a version is released: the fitted model as it was logged, or what it was converted to.

Both are kept with the version's run; the version's tag says which one is served.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from everfit.tasks.core.records import ModelVersion

FORMAT_TAG = "everfit.format"
_FOLDER, _FILE = "converted", "model.onnx"


def format_tags(name: str, problem: str = "") -> dict[str, str]:
    """Return the tags that tell a version's format, and why it was not converted where it wasn't."""
    return {FORMAT_TAG: name, **({f"{FORMAT_TAG}_reason": problem[:500]} if problem else {})}


def log_converted(client: "MlflowClient", run_id: str, content: bytes) -> None:
    """Keep a converted model beside the fitted one."""
    with TemporaryDirectory(prefix="everfit-converted-") as folder:
        path = Path(folder, _FILE)
        path.write_bytes(content)
        client.log_artifact(run_id, str(path), _FOLDER)


def fetch_converted(client: "MlflowClient", version: "ModelVersion", folder: Path) -> None:
    """Put the converted model beside a version's files, if that is what is served of it."""
    tags = client.get_model_version(version.model, str(version.version)).tags
    if tags.get(FORMAT_TAG) != "onnx":
        return
    found = Path(client.download_artifacts(version.run_id, f"{_FOLDER}/{_FILE}", str(folder)))
    found.replace(folder / _FILE)


def read_converted(folder: Path) -> bytes | None:
    """The converted model that was put beside a version's files; None if the fitted one is served."""
    path = folder / _FILE
    return path.read_bytes() if path.exists() else None
