"""The ledger of the simulated world: a real SQLite file whose transactions may fail, or lose their answer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

from sqlalchemy import Connection
from sqlalchemy.pool import QueuePool

from everfit.blocks.errors import LedgerError
from everfit.tasks.ledger import store as store_module
from everfit.tasks.ledger.schema import metadata
from everfit.tasks.ledger.store import CutConnectionError, Store

if TYPE_CHECKING:
    from campaign.simulation import World


@dataclass(frozen=True)
class _Rows:
    """What a transaction may change only under a lease, and who holds the leases.

    Attributes:
        releases: Number and state of each release.
        turns: Id and state of each turn that has ended.
        holders: Number of the process that holds the lease, by its scope.
    """

    releases: Sequence[tuple[Any, ...]]
    turns: Sequence[tuple[Any, ...]]
    holders: dict[str, int]

    @classmethod
    def read(cls, connection: Connection) -> Self:
        """Read the rows as the transaction sees them."""

        cursor = connection.connection.cursor()  # SQLAlchemy's own would take most of a schedule's time

        def rows(query: str) -> tuple[tuple[Any, ...], ...]:
            return tuple(cursor.execute(query).fetchall())  # type: ignore[func-returns-value]

        return cls(
            rows("SELECT seq, state FROM releases ORDER BY seq"),
            rows("SELECT id, state FROM turns WHERE state != 'running' ORDER BY id"),
            dict(rows("SELECT scope, pid FROM leases WHERE holder IS NOT NULL")),
        )


class SimulatedStore(Store):
    """The ledger's database with a place before and after each transaction.

    Each transaction that changes releases or settles a turn is compared with the lease that it needs, whatever
    everfit's own check says.
    """

    world: "World"
    seen: "_Rows"

    def begin(self, world: "World") -> None:
        """Begin a world."""
        self.world, self.seen = world, _Rows((), (), {})

    def empty(self) -> None:
        """Delete what the last world has left."""
        with self._engine.connect() as connection, connection.begin():
            for table in reversed(metadata.sorted_tables):
                connection.exec_driver_sql(f"DELETE FROM {table.name}")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """As the ledger's."""
        self.world.before(self._failed)
        with super().read() as connection:
            yield connection
        self.world.after()

    @contextmanager
    def write(self, model: str) -> Iterator[Connection]:
        """As the ledger's."""
        self.world.before(self._failed)
        with super().write(model) as connection:
            yield connection
            after = _Rows.read(connection)
        self._compare(self.seen, after)
        self.seen = after
        self.world.after(lambda: CutConnectionError("the connection was cut after the commit"))

    def _compare(self, before: "_Rows", after: "_Rows") -> None:
        world = self.world
        if world.task is None:
            return
        number = world.process.number
        settled = set(after.turns) - set(before.turns)  # a request may open a failed turn again without its lease
        for scope, changed in (("release", before.releases != after.releases), ("turn", settled)):
            if changed and after.holders.get(scope) != number:
                world.problems.append(
                    f"{world.process.name} wrote a {scope} without the lease, which process "
                    f"{after.holders.get(scope)} holds"
                )
        for scope, holder in before.holders.items():
            if holder != after.holders.get(scope) and holder != number:
                world.take_over_from(holder)

    def now(self, connection: Connection) -> datetime:
        """Return the time by the clock of the writing process's host, as with SQLite."""
        return self.world.wall_clock()

    @staticmethod
    def _failed() -> Exception:
        return LedgerError("the ledger did not answer")


def opened_once(path: Path) -> SimulatedStore:
    """Open a ledger whose connections are kept; a new one for each transaction would take a third of the time.

    Transactions of simulated processes do not overlap, so that they can share a connection.

    Args:
        path: The SQLite file.
    """
    with mock.patch.object(store_module, "NullPool", QueuePool):
        return SimulatedStore(store_module._engine(store_module._read_url(f"sqlite:///{path}")))
