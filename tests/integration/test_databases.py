"""Where a stack on PostgreSQL keeps its tables."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from everfit.blocks.errors import DeploymentError
from everfit.deployments.server.databases import databases, to_fill_in

_PREFECT = "PREFECT_SERVER_DATABASE_CONNECTION_URL"


def test_a_server_without_what_prefect_needs_is_refused_before_anything_is_made(
    postgres: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a PostgreSQL that comes without the extension, as the one of these tests does
    url = postgres()
    with pytest.raises(DeploymentError, match=r"pg_trgm.*PREFECT_SERVER_DATABASE_CONNECTION_URL"):
        databases(url, tmp_path)
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    assert "mlflow" not in sa.inspect(engine).get_schema_names()

    # When Prefect has a database of its own, then the others get a schema each
    monkeypatch.setenv(_PREFECT, "sqlite+aiosqlite:///elsewhere.db")
    result = databases(url, tmp_path)
    assert result.prefect == {}
    assert "search_path%3Dmlflow" in result.mlflow
    assert result.ledger is not None
    assert "search_path%3Deverfit" in result.ledger
    assert {"mlflow", "everfit"} <= set(sa.inspect(engine).get_schema_names())
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://me:planted-5f0e7c@localhost/x", "set one of PostgreSQL"),
        ("postgresql://me:planted-5f0e7c@127.0.0.1:1/x", "the database can't be used"),
        ("planted-5f0e7c", "EVERFIT_DB_URL is not a URL"),
    ],
)
def test_a_url_that_cant_be_used_is_told_without_its_password(tmp_path: Path, url: str, told: str) -> None:
    with pytest.raises(DeploymentError, match=told) as raised:
        databases(url, tmp_path)
    assert "planted" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://me:planted@db/x?options=-c", "postgresql://USER:PASSWORD@db/x?options=-c"),
        ("postgresql:///x?host=%2Ftmp&password=planted", "postgresql:///x?host=%2Ftmp"),
    ],
)
def test_what_is_to_be_filled_in_is_shown_without_a_login(url: str, shown: str) -> None:
    assert to_fill_in(url) == shown
