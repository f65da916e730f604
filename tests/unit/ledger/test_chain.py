"""Each write of a row is a link of its model's chain, and whatever was changed beside it is found."""

import ast
import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from everfit.tasks import ledger as package
from everfit.tasks.core.records import ModelVersion, Trigger, Window
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.chain import CHAINED, DIGESTED, KEYS
from everfit.tasks.ledger.chain_check import check_chain, newest_link
from everfit.tasks.ledger.model_names import rename_rows
from everfit.tasks.ledger.transfer import dump_rows, load_rows

MARCH = Window(since=datetime(2013, 1, 1, tzinfo=UTC), until=datetime(2013, 3, 1, tzinfo=UTC))
VERSION = ModelVersion(model="flights", version=1, run_id="run", trained_until=MARCH.until)

COPY = """
INSERT INTO decisions
SELECT 'd2', model, turn_id, kind, verdict, until, reasons, record, at FROM decisions WHERE id = 'd1'
"""


@pytest.fixture
def written(ledger: Ledger) -> Ledger:
    """A ledger with a turn, a decision, a release and the files of a version."""
    with ledger.turns.take("flights", Trigger(reason="a try"), MARCH) as turn:
        ledger.turns.keep(turn, {"folder": "/old/flights/x", "share": 0.1, "none": float("nan"), "é": "\x00"})
        ledger.decisions.record("d1", model="flights", kind="gate", verdict="promote", turn_id=turn.id)
        ledger.artifacts.record(VERSION, {"model/model.skops": "a" * 64}, actor="everfit", reason="registered")
        with ledger.leases.hold("flights", scope="release") as lease:
            entry = ledger.releases.intend(
                VERSION,
                expected_previous=None,
                previous_version=None,
                kind="promotion",
                reason="better",
                actor="gate",
                lease=lease,
            )
            ledger.releases.advance(entry, "alias_set", lease=lease)
        ledger.turns.finish(turn, state="Promoted", verdict="promote", seconds=1)
    return ledger


def problems(ledger: Ledger, model: str = "flights", **anchors: str) -> list[str]:
    return list(check_chain(ledger.store, model, anchors).problems)


@pytest.fixture
def tamper(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    yield connection
    connection.close()


def test_every_write_is_a_link_and_what_was_written_fits(written: Ledger) -> None:
    state = check_chain(written.store, "flights")

    assert state.problems == ()
    assert state.links == 7  # the turn three times, the release twice, the decision, the files
    assert state.head == newest_link(written.store, "flights")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE decisions SET verdict = 'keep'", "decision 'd1' was changed after link 3 recorded it at "),
        ("UPDATE turns SET reasons = '[\"mine\"]'", "was changed after link 7"),
        ("UPDATE releases SET actor = 'eve'", "release '1' was changed"),
        ("UPDATE artifacts SET files = '{}'", "the record of files '1/run/1' was changed"),
        ("DELETE FROM decisions", "decision 'd1', which link 3 recorded, is gone"),
        (
            COPY,
            "decision 'd2' has no link in the chain: it was not added by everfit",
        ),
        ("UPDATE decisions SET model = 'other'", "decision 'd1', which link 3 recorded, is gone"),
        ("DELETE FROM chain WHERE seq = 2", "link 2 of the chain is missing"),
        ("UPDATE chain SET digest = 'x' WHERE seq = 2", "link 2 of the chain was changed"),
    ],
)
def test_what_was_changed_beside_the_ledger_is_found(
    written: Ledger, tamper: sqlite3.Connection, statement: str, says: str
) -> None:
    tamper.execute(statement)

    assert any(says in problem for problem in problems(written)), problems(written)


def test_a_link_that_was_made_anew_breaks_the_next_one(written: Ledger, tamper: sqlite3.Connection) -> None:
    from everfit.tasks.ledger.chain import link_hash
    from everfit.tasks.ledger.schema import chain

    with written.store.read() as connection:
        third = dict(connection.execute(chain.select().where(chain.c.seq == 3)).mappings().one())
    tamper.execute(
        "UPDATE chain SET digest = ?, hash = ? WHERE seq = 3", ("0" * 64, link_hash({**third, "digest": "0" * 64}))
    )

    assert "link 4 of the chain doesn't follow from link 3: one of them was replaced" in problems(written)


def test_a_chain_that_was_cut_is_found_by_a_link_noted_elsewhere(written: Ledger, tamper: sqlite3.Connection) -> None:
    noted = newest_link(written.store, "flights")
    assert problems(written, note=noted) == []

    tamper.execute("DELETE FROM chain")
    for table in ("decisions", "artifacts", "releases", "turns"):
        tamper.execute(f"DELETE FROM {table}")
    (problem,) = problems(written, note=noted)
    assert problem.startswith("link 7 is not the one that note names: the chain was cut or written again")


def test_a_renamed_model_keeps_its_chain(written: Ledger) -> None:
    noted = newest_link(written.store, "flights")

    rename_rows(written, "flights", "planes", ("/old/flights", "/new/planes"))

    assert problems(written, "planes", note=noted) == []
    assert written.turns.of("planes")[0].record["folder"] == "/new/planes/x"
    assert check_chain(written.store, "flights").links == 0
    written.decisions.record("d3", model="planes", kind="gate", verdict="keep")
    assert problems(written, "planes") == []


def test_a_restored_ledger_keeps_its_chain_and_what_was_wrong(
    written: Ledger, tamper: sqlite3.Connection, tmp_path: Path
) -> None:
    noted, (at, dumped) = newest_link(written.store, "flights"), dump_rows(written, "flights")
    moved = Ledger.open(f"sqlite:///{tmp_path / 'moved.db'}")
    # Another MLflow gives runs other ids, which are part of the artifacts' keys.
    load_rows(moved, "flights", dumped, lambda row: json.loads(json.dumps(row).replace('"run"', '"other"')))

    assert at.tzinfo is not None
    assert problems(moved, note=noted) == []
    assert moved.artifacts.find(VERSION.model_copy(update={"run_id": "other"})) is not None

    tamper.execute("UPDATE decisions SET verdict = 'keep'")
    tampered = Ledger.open(f"sqlite:///{tmp_path / 'tampered.db'}")
    load_rows(tampered, "flights", dump_rows(written, "flights")[1], lambda row: row)
    (problem,) = problems(tampered, note=noted)
    assert "decision 'd1' was changed" in problem

    unchained = Ledger.open(f"sqlite:///{tmp_path / 'unchained.db'}")
    load_rows(unchained, "flights", {name: rows for name, rows in dumped.items() if name != "chain"}, lambda row: row)
    assert problems(unchained) == []


def test_writers_at_once_make_one_chain(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: ledger.decisions.record(str(n), model="m", kind="k", verdict="v"), range(24)))

    state = check_chain(ledger.store, "m")
    assert (state.links, state.problems) == (24, ())


def test_a_ledger_of_before_the_chain_is_linked_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(Path(__file__).with_name("ledger_0_1.sql").read_text(encoding="utf-8"))
    connection.close()
    ledger = Ledger.open(f"sqlite:///{path}")

    state = check_chain(ledger.store, "flights")
    assert (state.links, state.problems) == (7, ())


def test_all_columns_are_digested_and_only_the_chain_writes_chained_rows() -> None:
    for name, table in CHAINED.items():
        assert {*DIGESTED[name], "model"} == set(table.columns.keys())
        assert {*KEYS[name], "model"} >= {column.name for column in table.primary_key}
    folder = Path(package.__file__).parent
    for path in [path for path in folder.glob("*.py") if path.name not in {"chain.py", "transfer.py"}]:
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in {"insert", "update"}:
                written = ast.unparse(call.args[0])
                assert written not in CHAINED, f"{path.name}: {ast.unparse(call)}"
