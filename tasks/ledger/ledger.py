"""The ledger: six parts over one store."""

from collections.abc import Sequence
from typing import Literal, Self

from everfit.blocks.settings import Settings
from everfit.tasks.ledger.artifacts import Artifacts
from everfit.tasks.ledger.decisions import Decisions
from everfit.tasks.ledger.incidents import Incidents
from everfit.tasks.ledger.leases import Leases
from everfit.tasks.ledger.records import TurnStory
from everfit.tasks.ledger.releases import Releases
from everfit.tasks.ledger.store import Store
from everfit.tasks.ledger.turns import Turns


class Ledger:
    """The SQL record of turns, decisions, releases, artifacts and leases; `Ledger.open` makes it.

    It holds no connection between calls, so threads and forked processes may share it.

    Args:
        store: The open database.
        signers: The public keys of which one must have signed each version that is loaded, as the spec of the model
            that the ledger is opened for names them.

    Attributes:
        store: The database.
        signers: The public keys.
        url: Address of the database, without the password.
        leases: Each lets one process act for a model.
        turns: The turns, and requests for turns.
        decisions: The decisions with their evidence.
        releases: The champion changes.
        artifacts: The digests of the files of registered versions.
        incidents: The problems that people are notified of, from the first sign to the end.

    Example:
        >>> ledger = Ledger.open(Settings())
        >>> with ledger.turns.take("flight-delays", Trigger(), window) as turn:
        ...     if not turn.settled:
        ...         ledger.turns.finish(turn, state="ChampionKept", verdict="keep", reasons=["no gain"])
    """

    def __init__(self, store: Store, signers: Sequence[str] = ()) -> None:
        self.store, self.url, self.signers = store, store.url, tuple(signers)
        self.leases = Leases(store)
        self.turns = Turns(store, self.leases)
        self.decisions = Decisions(store)
        self.releases = Releases(store)
        self.artifacts = Artifacts(store, self.decisions)
        self.incidents = Incidents(store)

    @classmethod
    def open(cls, where: Settings | str, signers: Sequence[str] = ()) -> Self:
        """Open the ledger; create or migrate its tables if needed.

        Args:
            where: The settings of the process, or an SQLAlchemy URL of SQLite or PostgreSQL.
            signers: As the class takes them.

        Raises:
            LedgerError: The URL is invalid, the database can't be reached, or a newer everfit created it.
        """
        return cls(Store.open(where), signers)

    @classmethod
    def open_existing(cls, where: Settings | str) -> Self:
        """Open an existing ledger; never create one.

        Args:
            where: As for `open`.

        Raises:
            LedgerError: As for `open`; or there is no ledger, for example in a shell without the worker's variables.
        """
        return cls(Store.open_existing(where))

    @classmethod
    def schema_of(cls, where: Settings | str) -> Literal["none", "older", "current"]:
        """Return the state of a ledger's tables, without creating or migrating them.

        Raises:
            LedgerError: The URL is invalid, or the database can't be reached.
        """
        return Store.schema_of(where)

    def story(self, turn_id: str) -> TurnStory:
        """Return one turn with its decisions and releases.

        Raises:
            LedgerError: There is no such turn.
        """
        turn = self.turns.get(turn_id)
        return TurnStory(
            turn=turn,
            decisions=tuple(self.decisions.of(turn.model, turn_id=turn_id)),
            releases=tuple(release for release in self.releases.of(turn.model) if release.turn_id == turn_id),
        )
