"""Check a model's chain of hashes, and the rows against it; each thing that doesn't fit is one sentence."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from everfit.tasks.core.records import Record
from everfit.tasks.ledger.chain import CHAINED, GENESIS, GONE, ROW_NAMES, link_hash, row_digest, row_key
from everfit.tasks.ledger.schema import chain
from everfit.tasks.ledger.store import Store


class ChainState(Record):
    """The result of the check of a chain.

    Attributes:
        links: The number of links.
        head: The newest link as `SEQ:HASH`; empty without links. Somebody who has kept it can tell later whether
            the chain was cut or written again.
        problems: One sentence for each thing that doesn't fit.
    """

    model: str
    links: int
    head: str = ""
    problems: tuple[str, ...] = ()


def newest_link(store: Store, model: str) -> str:
    """Return the newest link of a model's chain as `SEQ:HASH`, or an empty text without links."""
    newest = select(chain.c.seq, chain.c.hash).where(chain.c.model == model).order_by(chain.c.seq.desc()).limit(1)
    with store.read() as connection:
        row = connection.execute(newest).first()
    return "" if row is None else f"{row.seq}:{row.hash}"


def check_chain(store: Store, model: str, anchors: Mapping[str, str] | None = None) -> ChainState:
    """Check that each link follows from the one before, and each row is as its newest link says.

    Args:
        store: The ledger's database.
        model: Name of the model.
        anchors: Links that were noted elsewhere, as `SEQ:HASH`, by the place where they were noted.
    """
    with store.read() as connection:
        query = select(chain).where(chain.c.model == model).order_by(chain.c.seq)
        links = [dict(link) for link in connection.execute(query).mappings()]
        problems = [*_links(links), *_rows(connection, model, links)]
    hashes = {f"{link['seq']}:{link['hash']}" for link in links}
    for place, anchor in (anchors or {}).items():
        if anchor not in hashes:
            problems.append(
                f"link {anchor.partition(':')[0]} is not the one that {place} names: "
                "the chain was cut or written again, or an older backup of the ledger was restored"
            )
    head = f"{links[-1]['seq']}:{links[-1]['hash']}" if links else ""
    return ChainState(model=model, links=len(links), head=head, problems=tuple(problems))


def _links(links: list[dict[str, Any]]) -> Iterator[str]:
    before, previous = 0, GENESIS
    for link in links:
        if link["seq"] != before + 1:
            yield f"link {before + 1} of the chain is missing"
        elif link["previous"] != previous:
            yield f"link {link['seq']} of the chain doesn't follow from link {before}: one of them was replaced"
        if link_hash(link) != link["hash"]:
            yield f"link {link['seq']} of the chain was changed"
        before, previous = link["seq"], link["hash"]


def _rows(connection: Connection, model: str, links: list[dict[str, Any]]) -> Iterator[str]:
    newest = {(link["kind"], link["row_key"]): link for link in links}
    for kind, table in CHAINED.items():
        for found in connection.execute(select(table).where(table.c.model == model)).mappings():
            row = dict(found)
            name = row_key(kind, row)
            link = newest.pop((kind, name), None)
            if link is None or link["digest"] == GONE:
                yield f"{ROW_NAMES[kind]} {name!r} has no link in the chain: it was not added by everfit"
            elif row_digest(kind, row) != link["digest"]:
                yield (
                    f"{ROW_NAMES[kind]} {name!r} was changed after link {link['seq']} recorded it "
                    f"at {link['at']:%Y-%m-%d %H:%M:%S} UTC"
                )
    for (kind, name), link in newest.items():
        if link["digest"] == GONE:
            continue
        yield f"{ROW_NAMES.get(kind, kind)} {name!r}, which link {link['seq']} recorded, is gone"
