"""The whole ledger, as flows and commands see it: four parts over one store."""

from typing import Literal, Self

from everfit.blocks.settings import Settings
from everfit.tasks.ledger.decisions import Decisions
from everfit.tasks.ledger.leases import Leases
from everfit.tasks.ledger.records import TurnStory
from everfit.tasks.ledger.releases import Releases
from everfit.tasks.ledger.store import Store
from everfit.tasks.ledger.turns import Turns


class Ledger:
    """The SQL record of turns, decisions, releases and leases; `Ledger.open` makes it.

    It holds no connection between calls, so it may be kept, shared by threads and forked.

    Args:
        store: The open database.

    Attributes:
        store: The database.
        url: Of the database, the password hidden.
        leases: Who may act for a model.
        turns: What was run, and requests for turns.
        decisions: What was decided, with its evidence.
        releases: The champion changes.

    Example:
        >>> ledger = Ledger.open(Settings())
        >>> with ledger.turns.take("flight-delays", Trigger(), window) as turn:
        ...     if not turn.settled:
        ...         ledger.turns.finish(turn, state="ChampionKept", verdict="keep", reasons=["no gain"])
    """

    def __init__(self, store: Store) -> None:
        self.store, self.url = store, store.url
        self.leases = Leases(store)
        self.turns = Turns(store, self.leases)
        self.decisions = Decisions(store)
        self.releases = Releases(store)

    @classmethod
    def open(cls, where: Settings | str) -> Self:
        """Open the ledger, making or migrating its tables where needed.

        Args:
            where: The settings of the process, or an SQLAlchemy URL of SQLite or PostgreSQL.

        Raises:
            LedgerError: the URL is not understood, the database can't be reached, or a newer everfit made it.
        """
        return cls(Store.open(where))

    @classmethod
    def open_existing(cls, where: Settings | str) -> Self:
        """Open a ledger to read it; where there is none, make none.

        Args:
            where: As `open` takes it.

        Raises:
            LedgerError: as of `open`; or there is no ledger, as from a shell that lacks the worker's variables.
        """
        return cls(Store.open_existing(where))

    @classmethod
    def schema_of(cls, where: Settings | str) -> Literal["none", "older", "current"]:
        """Return how far a ledger's tables are, without making or migrating them.

        Raises:
            LedgerError: the URL is not understood, or the database can't be reached.
        """
        return Store.schema_of(where)

    def story(self, turn_id: str) -> TurnStory:
        """Return everything that is known of one turn: itself, its decisions and its releases.

        Raises:
            LedgerError: there is no such turn.
        """
        turn = self.turns.get(turn_id)
        return TurnStory(
            turn=turn,
            decisions=tuple(self.decisions.of(turn.model, turn_id=turn_id)),
            releases=tuple(release for release in self.releases.of(turn.model) if release.turn_id == turn_id),
        )
