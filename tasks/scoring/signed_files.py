"""Refuse versions whose files nobody has signed that this installation trusts."""

from typing import TYPE_CHECKING

from everfit.blocks.errors import ArtifactError
from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.artifacts import Digests
from everfit.tasks.models.signatures import SIGNATURE_TAG, read_signers, version_message, why_not_signed

if TYPE_CHECKING:
    from mlflow import MlflowClient


def require_signature(client: "MlflowClient", version: ModelVersion, digests: Digests) -> None:
    """Refuse a version that none of the signers has signed; without `EVERFIT_SIGNERS` every version passes.

    Args:
        client: Client of the registry, which has the signature.
        version: The version.
        digests: Digests of the files that it predicts with, as they were downloaded.

    Raises:
        ArtifactError: The version is not signed, or not as it is.
        KeyFileError: The file of signers can't be read.
    """
    path = Settings().signers
    if path is None:
        return
    tags = dict(client.get_model_version(version.model, str(version.version)).tags or {})
    message = version_message(version, digests)
    if problem := why_not_signed(tags.get(SIGNATURE_TAG), message, read_signers(path)):
        raise ArtifactError(
            f"version {version.version} of {version.model!r} is not loaded: {problem}, and EVERFIT_SIGNERS is set; "
            f"release a signed version, or sign it where EVERFIT_SIGNING_KEY is set: `everfit verify {version.model} "
            "--record`"
        )
