"""Signatures by Ed25519 keys: of the files of versions, and of links of the ledger's chain.

The private key is a PEM file of the process that registers and releases (`EVERFIT_SIGNING_KEY`). The public keys that
others trust are the lines of a file (`EVERFIT_SIGNERS`): a key and, after a blank, the name of its owner.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.artifacts import Digests, overall_digest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNATURE_TAG = "everfit.signature"
"""Tag of a version with the signature of its files."""

_KIND = "ed25519"


class KeyFileError(EverfitError):
    """A file of keys can't be read."""


def new_key(path: Path) -> str:
    """Write a new private key to a file that only its owner can read.

    Args:
        path: The file, which must not exist.

    Returns:
        The public key, as a line of the file of signers starts.

    Raises:
        KeyFileError: The file exists or can't be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(content)
    except OSError as error:
        raise KeyFileError(f"the key {str(path)!r} can't be written: {error}; name a new file") from error
    return public_key(key)


def public_key(key: "Ed25519PrivateKey") -> str:
    """Return the public key of a private one, as text."""
    return f"{_KIND}:{base64.b64encode(key.public_key().public_bytes_raw()).decode()}"


def read_signing_key(path: str) -> "Ed25519PrivateKey":
    """Return the private key of a PEM file.

    Raises:
        KeyFileError: The file can't be read, or has another kind of key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(Path(path).read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(
            f"the signing key {path!r} can't be read: {error}; make one by `everfit keys FILE`"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"the signing key {path!r} is no Ed25519 key; make one by `everfit keys FILE`")
    return key


def read_signers(path: str) -> dict[str, str]:
    """Return the names of the owners by public key.

    Raises:
        KeyFileError: The file can't be read, or has no key.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(f"the file of signers {path!r} can't be read: {error}") from error
    signers = {}
    for line in filter(lambda line: line and not line.startswith("#"), lines):
        key, _, name = line.partition(" ")
        if not key.startswith(f"{_KIND}:"):
            raise KeyFileError(
                f"the file of signers {path!r} has the line {line!r}; a line is a key, as `everfit keys` prints it, "
                "and the name of its owner"
            )
        signers[key] = name.strip() or "no name"
    if not signers:
        raise KeyFileError(f"the file of signers {path!r} has no key, so nothing could be verified; add one")
    return signers


def trusted_signers(settings: Settings) -> dict[str, str]:
    """Return the signers that count here: those of the file, or else the process's own key; empty without both."""
    if settings.signers is not None:
        return read_signers(settings.signers)
    return {} if settings.signing_key is None else {public_key(read_signing_key(settings.signing_key)): "this process"}


def signature_by(key: "Ed25519PrivateKey", message: str) -> str:
    """Return the signature of a text, with the public key."""
    return f"{public_key(key)}:{base64.b64encode(key.sign(message.encode())).decode()}"


def why_not_signed(signature: str | None, message: str, signers: Mapping[str, str]) -> str:
    """Return why a signature doesn't count; empty if it does.

    Args:
        signature: As `signature_by` returns it, or None.
        message: The text that must be signed.
        signers: The names of the owners by public key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not signature:
        return "it has no signature"
    kind, _, rest = signature.partition(":")
    key, _, signed = rest.partition(":")
    if f"{kind}:{key}" not in signers:
        return f"it is signed by the key '{kind}:{key[:12]}…', which is not among the signers"
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=True))
        public.verify(base64.b64decode(signed, validate=True), message.encode())
    except (InvalidSignature, binascii.Error, ValueError):
        return f"the signature of {signers[f'{kind}:{key}']!r} is of something else"
    return ""


def version_message(version: ModelVersion, files: Digests) -> str:
    """Return the text that is signed for a version: its run, its number and the digest of its files.

    The model's name is not part of it, because models are renamed; the run is of one model only.
    """
    return f"everfit version\n{version.run_id}\n{version.version}\n{overall_digest(files)}"


def link_message(link: str) -> str:
    """Return the text that is signed for a link of the ledger's chain, which covers all links before."""
    return f"everfit ledger\n{link}"
