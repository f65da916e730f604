"""Signatures by Ed25519 keys: of the files of versions, and of links of the ledger's chain.

The private key belongs to the process that registers and releases (`EVERFIT_SIGNING_KEY`): a PEM file, a Prefect
Secret block, or the PEM itself. A signer is a public key and, after a blank, the name of its owner. One signer of the
file that `EVERFIT_SIGNERS` names, and one of those in the spec (`release.signers`), must have signed.
"""

import base64
import binascii
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.core.secrets import reveal
from everfit.tasks.models.artifacts import Digests, overall_digest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from pydantic import SecretStr

SIGNATURE_TAG = "everfit.signature"
"""Tag of a version with the signature of its files."""
SIGNERS_VARIABLE, SIGNERS_KEY = "EVERFIT_SIGNERS", "release.signers in the spec"
"""The places that name signers."""

_KIND = "ed25519"
_PEM = "-----BEGIN"

SignerGroups = Mapping[str, Mapping[str, str]]
"""The signers that each place names, of which one must have signed: owners by public key, by name of the place."""


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


def read_signing_key(given: "SecretStr") -> "Ed25519PrivateKey":
    """Return the private key of this process.

    Args:
        given: The path of a PEM file, `block:NAME` of a Prefect Secret block with the PEM, or the PEM itself.

    Raises:
        KeyFileError: The key can't be read, or is of another kind.
        SourceError: There is no such block.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    secret = given.get_secret_value()
    pem = secret if secret.lstrip().startswith(_PEM) else ""
    if secret.startswith("block:"):
        pem = reveal(given, "EVERFIT_SIGNING_KEY")
    # The PEM itself is in no message.
    name = "in EVERFIT_SIGNING_KEY" if pem == secret else repr(secret)
    try:
        # A variable of one line, as some systems keep it, has `\\n` for each new line.
        content = pem.replace("\\n", "\n").encode() if pem else Path(secret).read_bytes()
        key = load_pem_private_key(content, password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        problem = type(error).__name__ if pem else str(error)
        raise KeyFileError(
            f"the signing key {name} can't be read: {problem}; make one by `everfit keys FILE`"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"the signing key {name} is no Ed25519 key; make one by `everfit keys FILE`")
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
    lines = [line for line in lines if line and not line.startswith("#")]
    if odd := [line for line in lines if not line.startswith(f"{_KIND}:")]:
        raise KeyFileError(
            f"the file of signers {path!r} has the line {odd[0]!r}; a line is a key, as `everfit keys` prints it, "
            "and the name of its owner"
        )
    if not lines:
        raise KeyFileError(f"the file of signers {path!r} has no key, so nothing could be verified; add one")
    return _owners(lines)


def required_signers(settings: Settings, of_spec: Sequence[str]) -> SignerGroups:
    """Return the places that name signers, with these: `EVERFIT_SIGNERS` and the spec; empty if neither does.

    Args:
        settings: The settings of this installation.
        of_spec: The signers in the spec of the model.

    Raises:
        KeyFileError: The file of signers can't be read.
    """
    of_process = {} if settings.signers is None else {SIGNERS_VARIABLE: read_signers(settings.signers)}
    return of_process | ({SIGNERS_KEY: _owners(of_spec)} if of_spec else {})


def trusted_signers(settings: Settings, of_spec: Sequence[str]) -> SignerGroups:
    """Return the signers that a check asks for: the required ones, or else the process's own key."""
    if required := required_signers(settings, of_spec):
        return required
    if settings.signing_key is None:
        return {}
    return {"EVERFIT_SIGNING_KEY": {public_key(read_signing_key(settings.signing_key)): "this process"}}


def check_can_sign(settings: Settings, of_spec: Sequence[str], model: str) -> None:
    """Refuse to begin what would end with a version that nobody could load, because this process can't sign it.

    Args:
        settings: The settings of this installation.
        of_spec: The signers in the spec of the model.
        model: Name of the model.

    Raises:
        KeyFileError: There is no key, or it is not among the signers.
    """
    groups = required_signers(settings, of_spec)
    if not groups:
        return
    key = "" if settings.signing_key is None else public_key(read_signing_key(settings.signing_key))
    for place, signers in groups.items():
        if key not in signers:
            problem = "EVERFIT_SIGNING_KEY is not set" if not key else f"the key of EVERFIT_SIGNING_KEY is {key!r}"
            raise KeyFileError(
                f"{place} wants versions of {model!r} that one of {', '.join(sorted(signers.values()))} has signed, "
                f"and {problem}; set EVERFIT_SIGNING_KEY to the key of a signer, or add this one to {place}"
            )


def _owners(lines: Iterable[str]) -> dict[str, str]:
    parted = (line.partition(" ") for line in lines)
    return {key: name.strip() or "no name" for key, _, name in parted}


def signature_by(key: "Ed25519PrivateKey", message: str) -> str:
    """Return the signature of a text, with the public key."""
    return f"{public_key(key)}:{base64.b64encode(key.sign(message.encode())).decode()}"


def why_not_signed(signature: str | None, message: str, groups: SignerGroups) -> str:
    """Return why a signature doesn't count; empty if it does, or if nobody asks for one.

    Args:
        signature: As `signature_by` returns it, or None.
        message: The text that must be signed.
        groups: The signers by the place that names them; one of each must have signed.
    """
    for place, signers in groups.items():
        if problem := _why_not_by(signature, message, signers, place):
            return problem
    return ""


def _why_not_by(signature: str | None, message: str, signers: Mapping[str, str], place: str) -> str:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not signature:
        return "it has no signature"
    kind, _, rest = signature.partition(":")
    key, _, signed = rest.partition(":")
    if f"{kind}:{key}" not in signers:
        return f"it is signed by the key '{kind}:{key[:12]}…', which is not among the signers of {place}"
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
