"""Signatures of the ledger's chain: after each release, the newest link is signed, and with it all links before."""

from everfit.blocks.settings import Settings
from everfit.tasks.core.records import Record
from everfit.tasks.ledger.chain_check import newest_link
from everfit.tasks.ledger.ledger import Ledger
from everfit.tasks.models.signatures import (
    link_message,
    read_signing_key,
    signature_by,
    trusted_signers,
    why_not_signed,
)

SIGNATURE = "signature"
"""Kind of the decisions that record signatures."""


class SignedLink(Record):
    """A signature of a link of the chain."""

    link: str
    signature: str
    release: int


def sign_release(ledger: Ledger, model: str, release: int) -> None:
    """Sign the newest link of the chain after a release, if this process has a key; once for each release.

    Args:
        ledger: The ledger.
        model: Name of the model.
        release: Number of the verified release.
    """
    key = Settings().signing_key
    if key is None:
        return
    link = newest_link(ledger.store, model)
    signed = SignedLink(link=link, signature=signature_by(read_signing_key(key), link_message(link)), release=release)
    identity = f"{model}/{SIGNATURE}/{release}"
    if ledger.decisions.find(identity) is None:
        ledger.decisions.record(identity, model=model, kind=SIGNATURE, verdict="signed", record=signed)


def check_signatures(ledger: Ledger, model: str) -> tuple[dict[str, str], list[str]]:
    """Check the signatures of a model's releases, if this process trusts any key.

    Args:
        ledger: The ledger.
        model: Name of the model.

    Returns:
        The signed links by the signature in words, and one sentence for each signature that is missing or false.
    """
    signers = trusted_signers(Settings(), ledger.signers)
    signed = [SignedLink.recall(entry.record) for entry in ledger.decisions.of(model, kind=SIGNATURE)]
    links = {f"the signature of release {one.release}": one.link for one in signed}
    if not signers:
        return links, []
    problems = [
        f"the signature of release {one.release} doesn't count: {problem}"
        for one in signed
        if (problem := why_not_signed(one.signature, link_message(one.link), signers))
    ]
    current = ledger.releases.current(model)
    if current is not None and current.seq not in {one.release for one in signed}:
        problems.append(f"release {current.seq}, the present one, is not signed")
    return links, problems
