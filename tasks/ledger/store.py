"""The ledger's database: opening, migrating, and transactions that wait for each other."""

import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.pool import NullPool

from everfit.blocks.errors import LedgerError
from everfit.blocks.settings import Settings
from everfit.tasks.ledger.schema import REVISION, VERSION_TABLE

_LOCK_WAIT = timedelta(seconds=60)
"""How long a write waits for other writers; SQLite has one writer at a time."""

_RECONNECT_WAIT = timedelta(seconds=15)
"""How long an open ledger tries to reach a database that restarts."""

_TRIES = 3
"""How often a write is tried whose connection is cut."""

_WRITE = "everfit_write"

T = TypeVar("T")


class CutConnectionError(LedgerError):
    """A connection was cut in a transaction, so that nobody knows yet whether it was committed."""


class Store:
    """An open ledger database. It holds no connection between calls, so it may be kept, shared by threads and forked.

    Attributes:
        url: Address of the database, without the password.
    """

    def __init__(self, engine: Engine) -> None:
        """Use `open` instead, which also migrates the schema."""
        self._engine = engine
        self._reached = False
        self.url = engine.url.render_as_string(hide_password=True)

    @classmethod
    def open(cls, where: Settings | str) -> Self:
        """Open the ledger; create or migrate its tables if needed.

        Args:
            where: The settings of the process, or an SQLAlchemy URL of SQLite or PostgreSQL.

        Raises:
            LedgerError: The URL is invalid, the database can't be reached, or a newer everfit created it.
        """
        store = cls(_engine(_read_url(where.ledger if isinstance(where, Settings) else where)))
        if store._revision() != REVISION:
            store._migrate()
        store._reached = True
        return store

    @classmethod
    def open_existing(cls, where: Settings | str) -> Self:
        """Open an existing ledger; never create one.

        Args:
            where: As for `open`.

        Raises:
            LedgerError: As for `open`; or there is no ledger, for example in a shell without the worker's variables.
        """
        if cls.schema_of(where) == "none":
            url = _read_url(where.ledger if isinstance(where, Settings) else where)
            raise LedgerError(
                f"there is no ledger at {url.render_as_string(hide_password=True)!r}: nothing was run from here yet; "
                f"if it was run elsewhere, set EVERFIT_WORKSPACE, EVERFIT_LEDGER_URL, MLFLOW_TRACKING_URI and "
                f"PREFECT_API_URL as they are there"
            )
        return cls.open(where)

    @classmethod
    def schema_of(cls, where: Settings | str) -> Literal["none", "older", "current"]:
        """Return the state of a ledger's tables, without creating or migrating them.

        Raises:
            LedgerError: The URL is invalid, or the database can't be reached.
        """
        url = _read_url(where.ledger if isinstance(where, Settings) else where)
        if url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).exists()):
            return "none"
        store = cls(_engine(url))
        revision = store._revision()
        if revision is None:
            with store._connected() as connection:
                return "older" if _has_alembic_name(connection) else "none"
        return "current" if revision == REVISION else "older"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction with a consistent view of the ledger."""
        with self._connected() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, model: str) -> Iterator[Connection]:
        """Open a transaction that excludes other writers of the same model until it ends."""
        with self._connected() as connection:
            connection.execution_options(**{_WRITE: True})
            with connection.begin():
                self._lock(connection, f"everfit:{model}")
                yield connection

    def write_again(self, model: str, work: Callable[[Connection], T]) -> T:
        """Run a write in a transaction as `write` opens it, and again on a new connection if this one is cut.

        A cut connection does not tell whether the transaction was committed, so the work must be safe to repeat.

        Args:
            model: Name of the model.
            work: Function that writes.

        Returns:
            The function's result.

        Raises:
            LedgerError: The database can't be reached again.
        """
        for _ in range(_TRIES - 1):
            with contextlib.suppress(CutConnectionError), self.write(model) as connection:
                return work(connection)
        with self.write(model) as connection:
            return work(connection)

    def now(self, connection: Connection) -> datetime:
        """Return the time by which leases are measured: the server's if there is one, as the clocks of hosts differ."""
        if connection.dialect.name == "postgresql":
            moment: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
            return moment.astimezone(UTC)
        return datetime.now(UTC)

    def _lock(self, connection: Connection, name: str) -> None:
        if connection.dialect.name == "postgresql":
            key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            with self._connect() as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            kind = CutConnectionError if error.connection_invalidated else LedgerError
            raise kind(
                f"the ledger {self.url!r} did not answer ({_first_line(error)}); "
                "check that it is reachable and writable, then run the command again"
            ) from error

    def _connect(self) -> Connection:
        give_up = time.monotonic() + _RECONNECT_WAIT.total_seconds()
        pause = 0.05
        while True:
            try:
                return self._engine.connect()
            except OperationalError:
                if not self._reached or self._engine.dialect.name == "sqlite" or time.monotonic() > give_up:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def _revision(self) -> str | None:
        """Return the last migration of the tables, or None if there are no tables yet."""
        try:
            with self._engine.connect() as connection:
                return _read_revision(connection)
        except DatabaseError as error:
            if VERSION_TABLE in str(error.orig):  # No such table, in the messages of both databases.
                return None
            raise LedgerError(
                f"the ledger {self.url!r} can't be opened ({_first_line(error)}); "
                "check EVERFIT_LEDGER_URL, and that the database is up and the folder writable"
            ) from error

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory
        from alembic.util.exc import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        if self._engine.dialect.name == "sqlite":
            self._use_wal()
        with self._connected() as connection:
            connection.execution_options(**{_WRITE: True})
            with connection.begin():
                self._lock(connection, "everfit:schema")
                # Read again under the lock: another process may have migrated meanwhile.
                revision = _read_revision(connection) if _has_revision_table(connection) else None
                if revision == REVISION:
                    return
                try:
                    ScriptDirectory.from_config(config).get_revision(revision or "head")
                except CommandError as error:
                    raise LedgerError(
                        f"the ledger {self.url!r} has the schema {revision!r}, newer than this everfit knows "
                        f"({REVISION!r}); upgrade everfit here, or use another ledger"
                    ) from error
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    def _use_wal(self) -> None:
        """Let readers and a writer work at the same time. The change itself needs exclusive access."""
        give_up = time.monotonic() + _LOCK_WAIT.total_seconds()
        while True:
            try:
                with self._engine.connect() as connection:
                    raw = connection.connection.cursor()
                    raw.execute("PRAGMA journal_mode=WAL")
                    raw.close()
                    return
            except (DBAPIError, sqlite3.Error) as error:  # The raw cursor raises the driver's own errors.
                if "locked" not in str(error) or time.monotonic() > give_up:
                    raise LedgerError(f"the ledger {self.url!r} can't be created: {error}") from error
            time.sleep(0.02)


def _read_url(given: str) -> URL:
    try:
        url = make_url(given)
    except ArgumentError as error:
        raise LedgerError(
            f"the ledger's URL is invalid; write it like 'sqlite:///ledger.db' or "
            f"'postgresql://user@host/database' (it has {len(given)} characters)"
        ) from error
    if url.drivername in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in {"postgresql+psycopg", "sqlite"} and not _in_memory(url):
        return url
    raise LedgerError(
        f"the ledger {url.render_as_string(hide_password=True)!r} is not supported; "
        "use a SQLite file ('sqlite:///ledger.db') or PostgreSQL ('postgresql://user@host/database')"
    )


def _in_memory(url: URL) -> bool:
    return url.drivername == "sqlite" and url.database in {None, "", ":memory:"}


def _engine(url: URL) -> Engine:
    if url.drivername != "sqlite":
        return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 10})
    try:
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"the folder of the ledger {url.database!r} can't be created: {error}") from error
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": _LOCK_WAIT.total_seconds()})

    def on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # `on_begin` begins transactions, not the driver.
        connection.execute("PRAGMA foreign_keys=ON").close()

    def on_begin(connection: Connection) -> None:
        # A write takes its lock at the start, so that the rows it has read can't change before it writes.
        write = connection.get_execution_options().get(_WRITE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine


def _has_revision_table(connection: Connection) -> bool:
    """Return whether the table of migrations exists; rename it in a ledger of an early version."""
    if connection.dialect.has_table(connection, VERSION_TABLE):
        return True
    if not _has_alembic_name(connection):
        return False
    connection.execute(text(f"ALTER TABLE alembic_version RENAME TO {VERSION_TABLE}"))
    return True


def _has_alembic_name(connection: Connection) -> bool:
    """Return whether an early version keeps its migrations under Alembic's own table name, which MLflow uses too."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return False
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0001"


def _read_revision(connection: Connection) -> str | None:
    revision: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant
    return revision


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]
