"""Load versions from the registry as they are served, with their converted model and outlier detector.

Each load checks the files first against the digests that were recorded when the version was registered.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from everfit.blocks.errors import ArtifactError, ModelError
from everfit.tasks.core.event_names import ARTIFACTS_CHANGED
from everfit.tasks.core.events import emit_in_run, is_in_run
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.artifacts import Digests, copy_digests
from everfit.tasks.models.released_format import fetch_converted
from everfit.tasks.scoring.outliers import fetch_detector
from everfit.tasks.scoring.scorer import Scorer, read_scorer
from everfit.tasks.scoring.signed_files import require_signature

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from everfit.tasks.ledger import Ledger

logger = logging.getLogger("everfit.artifacts")


Check = Callable[[ModelVersion, Digests], object]
"""Raises `ArtifactError` if the digests are not those that were recorded for the version."""


def fetch(client: "MlflowClient", version: ModelVersion, folder: Path, check: Check) -> Path:
    """Download everything that is needed to predict as a version does, and check it before anything reads it.

    Args:
        client: Client of the registry.
        version: The version.
        folder: Empty folder for the files.
        check: Function that refuses files that are not the recorded ones.

    Returns:
        Folder of the version's files.

    Raises:
        ArtifactError: The files are not those that were recorded.
        ModelError: The store doesn't have the version's files.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    uri = client.get_model_version_download_uri(version.model, str(version.version))
    try:
        downloaded = Path(download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=client.tracking_uri))
    except (MlflowException, OSError) as error:
        problem = str(error).strip().splitlines()
        raise ModelError(
            f"its files can't be read from {uri!r}: {problem[-1] if problem else type(error).__name__}"
        ) from error
    fetch_detector(client, version, downloaded)
    fetch_converted(client, version, downloaded)
    check(version, copy_digests(downloaded))
    return downloaded


@contextmanager
def checked_copy(client: "MlflowClient", ledger: "Ledger", version: ModelVersion) -> Iterator[Path]:
    """Yield a folder with a version's files, which are those that the ledger recorded.

    Args:
        client: Client of the registry.
        ledger: The ledger; it records a refusal.
        version: The version.

    Raises:
        ArtifactError: The files are not those that were recorded.
    """

    def check(version: ModelVersion, digests: Digests) -> None:
        require_signature(client, version, digests, ledger.signers)
        if ledger.artifacts.check(version, digests) is None:
            # A command reports it in its own words.
            logger.log(
                logging.INFO if is_in_run() else logging.DEBUG,
                "the files of version %d of %r are not checked, because none were recorded; "
                "record them with `everfit verify %s --record`",
                version.version,
                version.model,
                version.model,
            )

    with TemporaryDirectory(prefix="everfit-model-") as folder:
        with announced(version):
            fetched = fetch(client, version, Path(folder), check)
        yield fetched


@contextmanager
def announced(version: ModelVersion) -> Iterator[None]:
    """Emit an event if a check in the body refuses the files of a version.

    Args:
        version: The version.
    """
    try:
        yield
    except ArtifactError as error:
        emit_in_run(ARTIFACTS_CHANGED, version.model, version=version.version, reason=str(error))
        raise


@contextmanager
def explained(version: ModelVersion) -> Iterator[None]:
    """Turn what goes wrong in the body into an error that says which version can't be loaded, and what to do.

    Args:
        version: The version that the body loads.

    Raises:
        ArtifactError: The files are not those that were recorded.
        ModelError: Anything else went wrong.
    """
    try:
        yield
    except ArtifactError:
        raise
    except Exception as error:  # of the store, of skops, or of a library that reads a broken file
        problem = str(error) if isinstance(error, ModelError) else f"{type(error).__name__}: {error}"
        raise ModelError(
            f"version {version.version} of {version.model!r} can't be loaded: {' '.join(problem.split())}; "
            f"repair it, or release another one by `everfit rollback` or `everfit train --replace-broken-champion`"
        ) from error


def load_scorer(client: "MlflowClient", ledger: "Ledger", version: ModelVersion) -> Scorer:
    """Load a version as the prediction service does, so that offline and served predictions are the same.

    Raises:
        ArtifactError: The files are not those that were recorded.
        ModelError: The version can't be loaded.
    """
    with explained(version), checked_copy(client, ledger, version) as folder:
        return read_scorer(folder, version)
