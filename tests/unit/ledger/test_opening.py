"""A ledger is opened, made and migrated once, whoever comes first; what is none is refused."""

import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.openers import open_at_once

from everfit.blocks.errors import LedgerError
from everfit.blocks.settings import Settings
from everfit.tasks.core.records import Window
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.schema import REVISION, VERSION_TABLE, metadata

MARCH = Window(since=datetime(2013, 1, 1, tzinfo=UTC), until=datetime(2013, 3, 1, tzinfo=UTC))


def test_the_settings_name_the_ledger_and_its_folder_is_made(tmp_path: Path) -> None:
    Ledger.open(Settings(workspace=str(tmp_path / "deep" / "workspace")))

    assert (tmp_path / "deep" / "workspace" / "ledger.db").exists()


@pytest.mark.slow
def test_opening_again_is_one_query_and_does_not_import_the_migrations(ledger: Ledger, tmp_path: Path) -> None:
    script = (
        "import sys; from everfit.tasks.ledger import Ledger; "
        f"Ledger.open('sqlite:///{tmp_path / 'ledger.db'}'); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_schema_is_what_the_migrations_make(ledger: Ledger) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from everfit.tasks import ledger as package

    with ledger.store.read() as connection:
        made = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(made, metadata) == []
    script = ScriptDirectory(str(Path(package.__file__).parent / "migrations"))
    assert script.get_heads() == [REVISION]


def test_a_schema_newer_than_the_code_is_refused_and_left_alone(ledger: Ledger, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE everfit_schema SET version_num = '9999'")
    connection.close()

    with pytest.raises(LedgerError, match=r"'9999', newer than this everfit"):
        Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.mark.parametrize(
    ("earlier", "left"),
    [("0001", []), ("d9a2b3c4e5f6", ["d9a2b3c4e5f6"])],
    ids=["everfit's own of before", "of MLflow in the same database"],
)
def test_a_table_of_versions_under_alembics_name_is_taken_over_only_if_it_is_everfits(
    earlier: str, left: list[str], ledger: Ledger, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE everfit_schema RENAME TO alembic_version")
        connection.execute("UPDATE alembic_version SET version_num = ?", [earlier])
        for table in ("artifacts", "chain", "incidents"):  # later revisions make them
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP INDEX decisions_model_kind_at")
        if left:  # and everfit has no tables there yet
            for table in ("leases", "releases", "decisions", "turns"):
                connection.execute(f"DROP TABLE {table}")
    connection.close()

    assert Ledger.schema_of(f"sqlite:///{path}") == ("none" if left else "older")
    assert Ledger.open(f"sqlite:///{path}").turns.models() == []

    with sqlite3.connect(path) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        result = connection.execute("SELECT version_num FROM alembic_version").fetchall() if left else []
        assert connection.execute("SELECT version_num FROM everfit_schema").fetchall() == [(REVISION,)]
    connection.close()
    assert [number for (number,) in result] == left
    assert ("alembic_version" in tables) == bool(left)


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/x", "sqlite://", "sqlite:///:memory:"])
def test_a_ledger_that_can_not_be_one_is_refused_in_words(url: str) -> None:
    with pytest.raises(LedgerError, match=r"sqlite:///ledger\.db"):
        Ledger.open(url)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger.open("postgresql://me:hunter2@127.0.0.1:1/nowhere")

    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("a shopping list, long enough to be looked at " * 10)

    with pytest.raises(LedgerError, match="not a database"):
        Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.mark.slow
def test_twenty_processes_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"

    assert open_at_once(url, MARCH.until.isoformat(), 20) == [0] * 20
    assert len(Ledger.open(url).turns.of("flights")) == 1
