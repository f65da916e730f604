"""Refuse versions whose files nobody has signed whom this installation or the model's spec trusts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from everfit.blocks.errors import ArtifactError
from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.artifacts import Digests
from everfit.tasks.models.signatures import SIGNATURE_TAG, required_signers, version_message, why_not_signed

if TYPE_CHECKING:
    from mlflow import MlflowClient


def require_signature(
    client: "MlflowClient", version: ModelVersion, digests: Digests, of_spec: Sequence[str]
) -> str | None:
    """Refuse a version that none of the signers has signed; a version passes if nobody asks for a signature.

    Args:
        client: Client of the registry, which has the signature.
        version: The version.
        digests: Digests of the files that it predicts with, as they were downloaded.
        of_spec: The signers in the spec of the model.

    Returns:
        The signature of the version, whether somebody asks for it or not.

    Raises:
        ArtifactError: The version is not signed, or not as it is.
        KeyFileError: The file of signers can't be read.
    """
    tags = dict(client.get_model_version(version.model, str(version.version)).tags or {})
    signature = tags.get(SIGNATURE_TAG)
    check_version_signature(signature, version, digests, of_spec)
    return signature


def check_version_signature(
    signature: str | None, version: ModelVersion, digests: Digests, of_spec: Sequence[str]
) -> None:
    """Refuse files of a version whose signature doesn't count.

    Args:
        signature: The signature of the version, if it has one.
        version: The version.
        digests: Digests of the files that it predicts with.
        of_spec: The signers in the spec of the model.

    Raises:
        ArtifactError: The version is not signed, or not as it is.
        KeyFileError: The file of signers can't be read.
    """
    groups = required_signers(Settings(), of_spec)
    if problem := why_not_signed(signature, version_message(version, digests), groups):
        raise ArtifactError(
            f"version {version.version} of {version.model!r} is not loaded: {problem}, and {' and '.join(groups)} "
            f"wants one; release a signed version, or sign it where EVERFIT_SIGNING_KEY is set: `everfit verify "
            f"{version.model} --record`"
        )
