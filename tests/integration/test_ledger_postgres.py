"""The ledger on PostgreSQL does what it does on SQLite."""

import os
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from everfit.blocks.errors import BusyError, LedgerError
from everfit.tasks.core.records import ModelVersion, Trigger, Window
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.chain_check import check_chain
from everfit.tasks.ledger.schema import VERSION_TABLE, metadata

MARCH = Window(since=datetime(2013, 1, 1, tzinfo=UTC), until=datetime(2013, 3, 1, tzinfo=UTC))


@pytest.fixture
def ledger(postgres: Callable[[], str]) -> Ledger:
    return Ledger.open(postgres())


def test_the_schema_is_what_the_migrations_make(ledger: Ledger) -> None:
    with ledger.store.read() as connection:
        assert (
            compare_metadata(MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}), metadata)
            == []
        )


def test_a_schema_newer_than_the_code_is_refused(postgres: Callable[[], str]) -> None:
    url = postgres()
    with Ledger.open(url).store.write("flights") as connection:
        connection.execute(text("UPDATE everfit_schema SET version_num = '9999'"))

    with pytest.raises(LedgerError, match="newer than this everfit"):
        Ledger.open(url)


def test_twenty_processes_open_a_new_ledger_and_begin_a_turn(postgres: Callable[[], str], tmp_path: Path) -> None:
    url = postgres()
    children = []
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                Ledger.open(url).turns.begin("flights", Trigger(), MARCH)
                code = 0
            except BaseException:  # noqa: BLE001 - the parent is to hear of it, whatever it is
                (tmp_path / "log").write_text(traceback.format_exc())
            finally:
                os._exit(code)
        children.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]

    assert codes == [0] * 20, (tmp_path / "log").read_text()
    assert len(Ledger.open(url).turns.of("flights")) == 1


def test_a_turn_and_its_decision_come_back_as_they_were(ledger: Ledger) -> None:
    odd = {"nan": float("nan"), "nul": "a\x00b", "until": MARCH.until}
    with ledger.turns.take("flights", Trigger(), MARCH) as turn:
        ledger.decisions.record("d", model="flights", kind="gate", verdict="keep", record=odd, turn_id=turn.id)
        ledger.turns.finish(turn, state="ChampionKept", verdict="keep", reasons=["no gain"], record=odd, seconds=1.5)
    story = ledger.story(turn.id)

    assert story.turn.record == {"nan": "NaN", "nul": "a\ufffdb", "until": "2013-03-01T00:00:00Z"}
    assert story.decisions[0].record == story.turn.record
    assert story.turn.window == MARCH
    assert story.turn.started_at.tzinfo is UTC
    assert ledger.turns.begin("flights", Trigger(), MARCH) == story.turn


def test_a_turn_whose_connection_is_cut_as_it_ends_has_ended(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends the connection in the transaction, or just before its end is reported."""
    now, cut = ledger.store.now, []

    def cutting(connection: Connection) -> datetime:
        moment = now(connection)
        if not cut:
            cut.append(moment)
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with ledger.store.read() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        return moment

    with ledger.turns.take("flights", Trigger(), MARCH) as turn:
        monkeypatch.setattr(ledger.store, "now", cutting)
        ended = ledger.turns.finish(turn, state="Promoted", verdict="promote")
        assert cut
        cut.clear()
        ledger.decisions.record("d", model="flights", kind="gate", verdict="promote", turn_id=turn.id)

    assert (ended.state, cut != []) == ("Promoted", True)
    assert [one.id for one in ledger.story(turn.id).decisions] == ["d"]


def test_of_thirty_who_begin_different_turns_each_gets_a_number(ledger: Ledger) -> None:
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda n: ledger.turns.begin("flights", Trigger(reason=str(n % 15)), MARCH), range(30)))

    assert [turn.seq for turn in ledger.turns.of("flights")] == list(range(1, 16))


def test_a_lease_is_held_by_one_and_fences_the_other(ledger: Ledger) -> None:
    with ledger.leases.hold("flights") as lease:
        old = ledger.turns.begin("flights", Trigger(), MARCH, lease=lease)
        with pytest.raises(BusyError, match="is busy"), ledger.leases.hold("flights"):
            pass
    with ledger.leases.hold("flights", wait=timedelta(seconds=5)) as lease:
        assert lease.token == 2
        with pytest.raises(BusyError, match="no longer held"):
            ledger.turns.finish(old, state="Promoted")


def test_of_ten_who_release_on_the_same_champion_one_wins(ledger: Ledger) -> None:
    def attempt(number: int) -> bool:
        target = ModelVersion(model="flights", version=number, run_id="r", trained_until=MARCH.until)
        with ledger.leases.hold("flights", scope="release", wait=timedelta(seconds=60)) as lease:
            try:
                ledger.releases.record_outside(target, expected_previous=None, reason="", lease=lease)
            except LedgerError:
                return False
            return True

    with ThreadPoolExecutor(10) as pool:
        assert sorted(pool.map(attempt, range(1, 11))) == [False] * 9 + [True]
    assert len(ledger.releases.of("flights")) == 1


def test_a_connection_that_was_cut_is_an_error_in_words_and_the_next_works(ledger: Ledger) -> None:
    def cut() -> None:
        with ledger.store.read() as mine, ledger.store.read() as another:
            pid = mine.execute(text("SELECT pg_backend_pid()")).scalar_one()
            another.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            mine.execute(text("SELECT 1"))

    with pytest.raises(LedgerError, match="did not answer"):
        cut()
    assert ledger.turns.begin("flights", Trigger(), MARCH).seq == 1


def test_writers_at_once_make_one_chain_and_a_changed_row_is_found(ledger: Ledger) -> None:
    with ledger.turns.take("flights", Trigger(), MARCH) as turn:
        ledger.turns.keep(turn, {"share": 0.1, "large": 1e16, "text": "é\x00", "none": float("nan")})
        ledger.turns.finish(turn, state="ChampionKept", seconds=0.1)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: ledger.decisions.record(str(n), model="flights", kind="k", verdict="v"), range(18)))

    state = check_chain(ledger.store, "flights")
    assert (state.links, state.problems) == (21, ())
    with ledger.store.write("flights") as connection:
        connection.execute(text("UPDATE decisions SET verdict = 'w' WHERE id = '7'"))
    (problem,) = check_chain(ledger.store, "flights").problems
    assert "decision '7' was changed" in problem
