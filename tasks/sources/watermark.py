"""Read how far a table has come from the database or the Delta log."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import DeltaSource, SqlSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.storage.delta_errors import reason_of

if TYPE_CHECKING:
    from sqlalchemy import Connection


def sql_watermark(source: SqlSource, roles: ColumnRoles, until: datetime) -> dict[str, str]:
    """Return the newest event time and label time of a table or query, or its number of rows without event times.

    Raises:
        SourceError: If the database can't be reached or refuses the query.
    """
    from everfit.tasks.sources.sql import connected

    with connected(source) as connection:
        return {source.table or "query": _newest(source, roles, until, connection)}


def _newest(source: SqlSource, roles: ColumnRoles, until: datetime, connection: "Connection") -> str:
    import sqlalchemy as sa

    from everfit.tasks.sources.sql import statement

    select, parameters = statement(source, roles, Window(until=until), connection)
    names = [name for name in (roles.event_time, roles.label_time) if name is not None]
    if isinstance(select, sa.TextClause):
        rows = select.columns(*[sa.column(name) for name in names or roles.named()[:1]]).subquery()
    else:
        assert isinstance(select, sa.Select)  # noqa: S101 - `statement` returns a text clause or a select
        rows = select.subquery()
    newest: list[sa.ColumnElement[Any]] = [sa.func.max(rows.c[name]) for name in names] or [sa.func.count()]
    row = connection.execute(sa.select(*newest).select_from(rows), parameters).one()
    return " ".join(str(value) for value in row)


def delta_version(source: DeltaSource) -> dict[str, str]:
    """Return the newest version of a Delta table.

    Raises:
        SourceError: If the table doesn't exist.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    from everfit.tasks.storage.workspace import storage_options

    try:
        table = DeltaTable(source.path, storage_options=storage_options(source.path))
    except (DeltaError, OSError) as error:
        raise SourceError(
            f"Delta table {source.path!r} can't be read: {reason_of(error)}; check source.path"
        ) from error
    return {source.path: str(table.version())}
