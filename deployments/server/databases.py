"""One PostgreSQL database for Prefect, MLflow and the ledger, with a schema each, since their table names clash."""

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from everfit.blocks.errors import DeploymentError

_PREFECT = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
_SCHEMAS = ("prefect", "mlflow", "everfit")
_HAS_EXTENSION = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'"


@dataclass(frozen=True)
class Databases:
    """The databases of a stack.

    Attributes:
        prefect: The environment variables of Prefect's server.
        mlflow: The URL of MLflow's backend store.
        ledger: The URL of the ledger; None for the default.
    """

    prefect: dict[str, str]
    mlflow: str
    ledger: str | None


def databases(url: str | None, state_dir: Path) -> Databases:
    """Return the databases of a stack: SQLite files in the state folder, or one PostgreSQL database.

    Args:
        url: The URL of PostgreSQL, or None for SQLite. The schemas are created.
        state_dir: The local folder of the embedded databases.

    Raises:
        DeploymentError: The URL is not one of PostgreSQL, or the database can't be reached or lacks an extension.
    """
    given_already = _PREFECT in os.environ  # a database of Prefect's own
    if url is None:
        file = state_dir / "stack" / "prefect.db"  # not the embedded one, on which a command may start a server too
        server = {} if given_already else {_PREFECT: f"sqlite+aiosqlite:///{file}"}
        return Databases(server, f"sqlite:///{state_dir / 'mlflow.db'}", None)
    given = _read(url)
    _make_schemas(given, for_prefect=not given_already)
    prefect, mlflow, ledger = (_within(given, schema) for schema in _SCHEMAS)
    server = {
        _PREFECT: _plain(given.set(drivername="postgresql+asyncpg")),
        "PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS_SEARCH_PATH": prefect.query["options"].partition("=")[2],  # type: ignore[union-attr]
    }
    return Databases({} if given_already else server, _plain(mlflow), _plain(ledger))


def to_fill_in(url: str) -> str:
    """Return a URL that may be shown, with `USER` and `PASSWORD` in place of a login."""
    given = make_url(url).difference_update_query(("user", "password", "sslpassword")).set(drivername="postgresql")
    return _plain(given if given.username is None else given.set(username="USER", password="PASSWORD"))  # noqa: S106


def _read(url: str) -> URL:
    try:
        given = make_url(url)
    except ArgumentError as error:
        raise DeploymentError(
            "EVERFIT_DB_URL is not a URL; set one such as postgresql://user:password@host/name"
        ) from error
    if given.get_backend_name() not in {"postgresql", "postgres"}:
        raise DeploymentError(
            f"EVERFIT_DB_URL is a URL of {given.get_backend_name()!r}; set one of PostgreSQL, or unset it for SQLite"
        )
    return given


def _make_schemas(given: URL, *, for_prefect: bool) -> None:
    import sqlalchemy as sa

    engine = sa.create_engine(given.set(drivername="postgresql+psycopg"))
    try:
        with engine.begin() as connection:
            if for_prefect and not connection.scalar(sa.text(_HAS_EXTENSION)):
                raise DeploymentError(
                    "EVERFIT_DB_URL: this PostgreSQL doesn't have the extension pg_trgm, which Prefect needs; install "
                    "it (postgresql-contrib), or give Prefect a database of its own, such as "
                    f"{_PREFECT}=sqlite+aiosqlite:////var/lib/prefect.db"
                )
            for schema in _SCHEMAS:
                connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
    except sa.exc.SQLAlchemyError as error:
        problem = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise DeploymentError(f"EVERFIT_DB_URL: the database can't be used: {problem}") from error
    finally:
        engine.dispose()


def _within(given: URL, schema: str) -> URL:
    # `public` holds extensions that are there already.
    return given.set(drivername="postgresql+psycopg").update_query_dict({"options": f"-csearch_path={schema},public"})


def _plain(url: URL) -> str:
    return url.render_as_string(hide_password=False)
