"""Read a table or query of a database as a source."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import SqlSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.core.secrets import reveal
from everfit.tasks.sources.chunks import Chunk, check_columns, rows_at_once
from everfit.tasks.sources.times import PLACEHOLDERS
from everfit.tasks.storage.times import EARLIEST, LATEST

if TYPE_CHECKING:
    from sqlalchemy import Connection, Executable
    from sqlalchemy.engine.interfaces import ReflectedColumn

_CASE_KEEPING = frozenset({"postgresql", "sqlite", "mysql", "mariadb"})
"""Databases that report a column's name as written; others report an unquoted name in lower case."""

_BEGINNING = datetime(1, 1, 2, tzinfo=UTC)
_END = "9999-12-31"


def read_sql(source: SqlSource, roles: ColumnRoles, window: Window) -> Iterator[Chunk]:
    """Read the window with one statement in one transaction, a chunk of rows at a time.

    PostgreSQL and SQLite answer a statement from one consistent state; the cursor stays on the server.

    Raises:
        SourceError: If the database can't be reached, refuses the query, or disconnects during the read.
    """
    where = _where(source)
    with connected(source) as connection:
        select, parameters = statement(source, roles, window, connection)
        streamed = connection.execution_options(stream_results=True, max_row_buffer=source.chunk_rows)
        result = streamed.execute(select, parameters)
        names = list(result.keys())
        check_columns(names, roles, where)
        with contextlib.closing(result):
            for rows in result.partitions(min(source.chunk_rows, rows_at_once(len(names)))):
                yield Chunk(where, pd.DataFrame.from_records([tuple(row) for row in rows], columns=names))


@contextlib.contextmanager
def connected(source: SqlSource) -> "Iterator[Connection]":
    """Open a connection that reads one consistent state.

    Raises:
        SourceError: If the database can't be reached, refuses a statement, or disconnects.
    """
    import sqlalchemy as sa

    engine = None
    try:
        engine = sa.create_engine(reveal(source.url, "source.url"))
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection = connection.execution_options(  # noqa: PLW2901
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            yield connection
    except sa.exc.ArgumentError as error:
        raise SourceError(
            "source.url is not an SQLAlchemy URL; write it like postgresql+psycopg://host/database"
        ) from error
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        message = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise SourceError(
            f"{_where(source)} can't be read: {message}; no rows were ingested, so run the turn again"
        ) from error
    finally:
        if engine is not None:
            engine.dispose()


def _where(source: SqlSource) -> str:
    return f"table {source.table!r}" if source.table else "the query"


def _quoted(inspector: Any, table: Any, column: "ReflectedColumn") -> None:  # noqa: ARG001 - SQLAlchemy's signature
    """Quote every column name, because SQLAlchemy doesn't know all reserved words of a database."""
    import sqlalchemy as sa

    column["name"] = sa.quoted_name(column["name"], quote=True)


def _near_window(column: "Any", window: Window) -> "Any":
    """Return a condition that keeps the window's rows and some around it: SQLite keeps times as texts of any form.

    Texts of times begin with their day, so whole days can be compared. The reader cuts the rows to the window.
    """
    import sqlalchemy as sa

    text = sa.type_coerce(column, sa.String)
    inside = text < (window.until + timedelta(days=2)).date().isoformat()
    if window.since is not None and window.since > _BEGINNING + timedelta(days=1):
        inside &= text >= (window.since - timedelta(days=1)).date().isoformat()
        inside |= sa.func.substr(text, 1, 10).in_([moment.date().isoformat() for moment in PLACEHOLDERS])
        inside |= text <= (EARLIEST + timedelta(days=1)).date().isoformat()
    return inside | (text >= LATEST.date().isoformat())


def _shortest(moment: datetime, between: str) -> str:
    """Return the shortest text of a moment, for comparison with the texts that SQLite keeps times as.

    A longer text of the same moment is after it: `2024-01-05 00:00:00` is not before `2024-01-05`, though it is before
    `2024-01-05 00:00:00.000000`, by which the first row of a window was lost.

    Args:
        moment: The moment.
        between: Between day and hour; every `T` is after every space, whatever the hours are.
    """
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat(between, "microseconds")
    for nothing in (".000000", ":00", f"{between}00:00"):
        if not text.endswith(nothing):
            break
        text = text.removesuffix(nothing)
    return text


def _between_day_and_hour(query: str, column: str | None, connection: "Connection") -> str:
    """Return the sign between day and hour in the times that a query of SQLite gives: a space or `T`."""
    import sqlalchemy as sa

    if column is None:
        return " "
    name = connection.dialect.identifier_preparer.quote_identifier(column)
    inner = query.strip().rstrip(";")
    first = sa.text(f"SELECT {name} FROM (\n{inner}\n) WHERE {name} IS NOT NULL LIMIT 1")  # noqa: S608 - the spec's query
    all_times = {"since": _BEGINNING.date().isoformat(), "until": _END}
    try:
        time = connection.execute(first, {key: all_times[key] for key in first.compile().params}).scalar()
    except (sa.exc.SQLAlchemyError, KeyError):
        return " "  # the query itself says what is wrong with it
    return "T" if isinstance(time, str) and time[10:11] == "T" else " "


def statement(
    source: SqlSource, roles: ColumnRoles, window: Window, connection: "Connection"
) -> "tuple[Executable, dict[str, Any]]":
    """Return the statement that selects the rows of a window, and its parameters.

    Raises:
        SourceError: If the table doesn't exist.
    """
    import sqlalchemy as sa

    if source.query is not None:
        query = sa.text(source.query)
        bounds: dict[str, Any] = {"since": window.since or _BEGINNING, "until": window.until}
        if connection.dialect.name == "sqlite":
            between = _between_day_and_hour(source.query, roles.event_time, connection)
            bounds = {name: _shortest(moment, between) for name, moment in bounds.items()}
        named = query.compile().params
        return query, {name: value for name, value in bounds.items() if name in named}
    schema, _, name = (source.table or "").rpartition(".")
    try:
        table = sa.Table(
            name,
            sa.MetaData(),
            schema=schema or None,
            autoload_with=connection,
            listeners=[("column_reflect", _quoted)] if connection.dialect.name in _CASE_KEEPING else [],
        )
    except sa.exc.NoSuchTableError as error:
        raise SourceError(f"there is no table {source.table!r}; check source.table") from error
    select = sa.select(table)
    if roles.event_time is None or roles.event_time not in table.c:
        return select, {}
    column = table.c[roles.event_time]
    if not isinstance(column.type, sa.DateTime | sa.Date):  # the reader cuts texts and numbers to the window
        return select, {}
    if connection.dialect.name == "sqlite":
        return select.where(_near_window(column, window) | column.is_(None)), {}
    is_day, zoned = isinstance(column.type, sa.Date), getattr(column.type, "timezone", False)

    def at(moment: datetime) -> date:
        if is_day:
            return moment.date()
        return moment if zoned else moment.replace(tzinfo=None)

    inside = column <= at(window.until) if is_day else column < at(window.until)
    if window.since is not None:
        inside &= column >= at(window.since)
        inside |= column.in_([at(moment.to_pydatetime()) for moment in PLACEHOLDERS])
        inside |= column <= at(EARLIEST.to_pydatetime())
    # Rows whose time says "not known" go to quarantine, as those without one do.
    return select.where(inside | column.is_(None) | (column >= at(LATEST.to_pydatetime()))), {}
