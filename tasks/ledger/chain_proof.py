"""The chain of a model with some of its rows as plain data, which can be verified without the ledger."""

import base64
import binascii
import json
import zlib
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from everfit.blocks.errors import LedgerError
from everfit.tasks.core.records import Record
from everfit.tasks.ledger.chain import CHAINED, GENESIS, GONE, KEYS, ROW_NAMES, link_hash, row_digest, row_key
from everfit.tasks.ledger.schema import chain
from everfit.tasks.ledger.store import Store
from everfit.tasks.ledger.transfer import Row, typed_row

_AT_ONCE = 500


class ChainProof(Record):
    """A chain from its first link on, and rows of its ledger.

    Attributes:
        head: The newest link, as `SEQ:HASH`.
        links: The columns of all links that their hashes cover, packed.
        rows: Rows by name of their table, packed.
    """

    model: str
    head: str
    links: str
    rows: str

    def unpack(self) -> dict[str, list[Row]]:
        """Return the rows by name of their table, with times as times.

        Raises:
            LedgerError: The rows can't be read.
        """
        found = _unpacked(self.rows)
        if not isinstance(found, dict):
            raise LedgerError("the rows of the proof are no rows; use the file as everfit wrote it")
        return {name: [typed_row(CHAINED[name], row) for row in found.get(name, ())] for name in CHAINED}


class ProofCheck(Record):
    """The result of the check of a proof.

    Attributes:
        links: The number of links.
        rows: The number of rows whose digests were compared.
        hashes: The hash of each link, from the first on.
        problems: One sentence for each thing that doesn't fit.
    """

    links: int
    rows: int
    hashes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def has(self, link: str) -> bool:
        """Return whether a link, as `SEQ:HASH`, is one of the chain."""
        seq, _, noted = link.partition(":")
        return seq.isdecimal() and 0 < int(seq) <= len(self.hashes) and self.hashes[int(seq) - 1] == noted


def read_proof(store: Store, model: str, keys: Mapping[str, Collection[str]]) -> ChainProof:
    """Read a model's chain and some of its rows from one consistent view of the ledger.

    Args:
        store: The ledger's database.
        model: Name of the model.
        keys: The ids of the wanted rows of `turns` and `decisions`. The releases are all read.

    Raises:
        LedgerError: The model has no chain.
    """
    with store.read() as connection:
        query = select(chain).where(chain.c.model == model).order_by(chain.c.seq)
        links = [dict(link) for link in connection.execute(query).mappings()]
        rows = {name: list(_rows(connection, model, name, keys.get(name))) for name in ("turns", "decisions")}
        rows["releases"] = list(_rows(connection, model, "releases", None))
    if not links:
        raise LedgerError(f"the ledger has no links of {model!r}, so nothing can be proven; run a turn first")
    covered = [[link["kind"], link["row_key"], link["digest"], link["at"]] for link in links]
    head = f"{links[-1]['seq']}:{links[-1]['hash']}"
    return ChainProof(model=model, head=head, links=_packed(covered), rows=_packed(rows))


def check_proof(proof: ChainProof) -> ProofCheck:
    """Check that the links lead to the head, that each row is as its newest link says, and that no release is missing.

    Args:
        proof: As `read_proof` returned it.
    """
    try:
        links, rows = list(_links(proof.links)), proof.unpack()
    except (LedgerError, ValueError, TypeError, KeyError) as error:
        return ProofCheck(links=0, rows=0, problems=(f"the proof can't be read: {error}",))
    hashes = tuple(link["hash"] for link in links)
    problems = []
    if not links or f"{len(links)}:{hashes[-1]}" != proof.head:
        problems.append(f"the links don't lead to {proof.head or 'a link'}: a link was changed, added or removed")
    newest = {(link["kind"], link["row_key"]): link for link in links}
    count = 0
    for kind, found in rows.items():
        for row in found:
            count, name = count + 1, row_key(kind, row)
            link = newest.get((kind, name))
            if link is None:
                problems.append(f"{ROW_NAMES[kind]} {name!r} has no link in the chain")
            elif row_digest(kind, row) != link["digest"]:
                problems.append(f"{ROW_NAMES[kind]} {name!r} is not as link {link['seq']} recorded it")
    given = {row_key("releases", row) for row in rows["releases"]}
    problems += [
        f"release {name!r}, which link {link['seq']} recorded, is missing"
        for (kind, name), link in newest.items()
        if kind == "releases" and name not in given and link["digest"] != GONE
    ]
    return ProofCheck(links=len(links), rows=count, hashes=hashes, problems=tuple(problems))


def _rows(connection: Connection, model: str, name: str, ids: Collection[str] | None) -> Iterator[Row]:
    table = CHAINED[name]
    query = select(table).where(table.c.model == model).order_by(*(table.c[key] for key in KEYS[name]))
    if ids is None:
        yield from (dict(row) for row in connection.execute(query).mappings())
        return
    ordered = sorted(ids)
    for start in range(0, len(ordered), _AT_ONCE):
        part = query.where(table.c.id.in_(ordered[start : start + _AT_ONCE]))
        yield from (dict(row) for row in connection.execute(part).mappings())


def _links(packed: str) -> Iterator[dict[str, Any]]:
    previous = GENESIS
    for seq, (kind, key, digest, at) in enumerate(_unpacked(packed), start=1):
        link = {"seq": seq, "kind": kind, "row_key": key, "digest": digest, "previous": previous}
        link |= {"at": datetime.fromisoformat(at)}
        previous = link_hash(link)
        yield link | {"hash": previous}


def _packed(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), default=_plain)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _unpacked(packed: str) -> Any:
    try:
        return json.loads(zlib.decompress(base64.b64decode(packed, validate=True)))
    except (binascii.Error, zlib.error, ValueError) as error:
        raise LedgerError(f"the packed part can't be read ({error}); use the file as everfit wrote it") from error


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    raise TypeError(f"{value!r} of type {type(value).__name__!r} can't be part of a proof")
