"""The ledger keeps each turn, decision and release once, on SQLite."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from support.openers import open_at_once

from everfit.blocks.errors import BusyError, LedgerError
from everfit.blocks.settings import Settings
from everfit.tasks.ledger import Ledger, Turn
from everfit.tasks.ledger.schema import REVISION, VERSION_TABLE, metadata
from everfit.tasks.records import ModelVersion, Trigger, Window

MARCH = Window(since=datetime(2013, 1, 1, tzinfo=UTC), until=datetime(2013, 3, 1, tzinfo=UTC))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")


def version(number: int) -> ModelVersion:
    return ModelVersion(
        model="flights", version=number, run_id=f"run-{number}", trained_until=MARCH.until, snapshot_digest=f"d{number}"
    )


# --- Opening ----------------------------------------------------------------------------------------------------------


def test_the_settings_name_the_ledger_and_its_folder_is_made(tmp_path: Path) -> None:
    Ledger.open(Settings(workspace=str(tmp_path / "deep" / "workspace")))

    assert (tmp_path / "deep" / "workspace" / "ledger.db").exists()


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

    with ledger.read() as connection:
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
        if left:  # and everfit has no tables there yet
            for table in ("leases", "releases", "decisions", "turns"):
                connection.execute(f"DROP TABLE {table}")
    connection.close()

    assert Ledger.open(f"sqlite:///{path}").models() == []

    with sqlite3.connect(path) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found = connection.execute("SELECT version_num FROM alembic_version").fetchall() if left else []
        assert connection.execute("SELECT version_num FROM everfit_schema").fetchall() == [(REVISION,)]
    connection.close()
    assert [number for (number,) in found] == left
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


def test_twenty_processes_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"

    assert open_at_once(url, MARCH, 20) == [0] * 20
    assert len(Ledger.open(url).turns("flights")) == 1


# --- Turns ------------------------------------------------------------------------------------------------------------


def test_the_same_trigger_gives_one_turn_and_a_settled_one_is_given_back(ledger: Ledger) -> None:
    first = ledger.begin_turn("flights", Trigger(reason="monthly"), MARCH, spec_digest="s", code_version="c")
    settled = ledger.finish_turn(first, state="Promoted", verdict="promote", reasons=["better"], seconds=3.5)
    again = ledger.begin_turn("flights", Trigger(reason="monthly"), MARCH)

    assert again == settled
    assert (again.state, again.seq, again.reasons, again.window) == ("Promoted", 1, ("better",), MARCH)
    assert ledger.begin_turn("flights", Trigger(reason="another"), MARCH).seq == 2
    assert ledger.begin_turn("delays", Trigger(reason="monthly"), MARCH).seq == 1


def test_a_hundred_who_begin_the_same_turn_begin_one(ledger: Ledger) -> None:
    with ThreadPoolExecutor(20) as pool:
        begun = list(pool.map(lambda _: ledger.begin_turn("flights", Trigger(), MARCH), range(100)))

    assert {turn.id for turn in begun} == {ledger.turns("flights")[0].id}
    assert len(ledger.turns("flights")) == 1


def test_of_a_hundred_who_take_the_same_turn_one_runs_it(ledger: Ledger) -> None:
    ran: list[str] = []

    def take(number: int) -> Turn:
        with ledger.take_turn("flights", Trigger(), MARCH, holder=f"number {number}") as turn:
            if turn.settled:
                return turn
            ran.append(turn.id)
            return ledger.finish_turn(turn, state="Promoted", verdict="promote")

    with ThreadPoolExecutor(100) as pool:
        turns = list(pool.map(take, range(100)))

    assert len(ran) == 1
    assert {turn.state for turn in turns} == {"Promoted"}


def test_another_turn_of_the_model_is_busy_at_once_and_another_model_is_not(ledger: Ledger) -> None:
    with ledger.take_turn("flights", Trigger(reason="one"), MARCH, holder="ann") as turn:
        with (
            pytest.raises(BusyError, match=rf"'flights' is busy: ann@.* turn '{turn.id}' since 20"),
            ledger.take_turn("flights", Trigger(reason="two"), MARCH),
        ):
            pass
        with ledger.take_turn("delays", Trigger(reason="two"), MARCH) as other:
            assert other.seq == 1


def test_a_turn_that_broke_off_is_failed_and_taken_up_again(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.take_turn("flights", Trigger(), MARCH):
        _ = 1 / 0
    failed = ledger.turns("flights")[0]

    with ledger.take_turn("flights", Trigger(), MARCH) as turn:
        assert (turn.id, turn.state, turn.attempt, turn.error) == (failed.id, "running", 2, None)
    assert (failed.state, failed.error) == ("failed", "ZeroDivisionError: division by zero")


def test_a_busy_error_inside_a_turn_is_not_taken_for_waiting(ledger: Ledger) -> None:
    trigger = Trigger()
    turn_id = trigger.turn_id("flights", MARCH.until)
    with (
        pytest.raises(BusyError),
        ledger.take_turn("flights", trigger, MARCH),
        ledger.lease("flights", scope="release", turn_id=turn_id),
        ledger.lease("flights", scope="release", turn_id=turn_id),
    ):
        pass

    assert ledger.turn(turn_id).state == "failed"


def test_a_turn_that_was_taken_over_can_not_be_finished_by_the_one_before(ledger: Ledger) -> None:
    with ledger.lease("flights") as lease:
        old = ledger.begin_turn("flights", Trigger(), MARCH, lease=lease)
    with ledger.lease("flights") as lease:
        new = ledger.begin_turn("flights", Trigger(), MARCH, lease=lease)

        with pytest.raises(BusyError, match="token 1 is no longer held"):
            ledger.finish_turn(old, state="Promoted")
        with pytest.raises(BusyError, match="token 1 is no longer held"):
            ledger.fail_turn(old, "too late")
        assert ledger.finish_turn(new, state="ChampionKept").state == "ChampionKept"


def test_a_settled_turn_can_be_settled_the_same_way_only(ledger: Ledger) -> None:
    turn = ledger.begin_turn("flights", Trigger(), MARCH)
    settled = ledger.finish_turn(turn, state="ChampionKept", verdict="keep")

    assert ledger.finish_turn(turn, state="ChampionKept", verdict="keep") == settled
    with pytest.raises(LedgerError, match="settled as 'ChampionKept'"):
        ledger.finish_turn(turn, state="Promoted", verdict="promote")
    with pytest.raises(LedgerError, match="can't fail any more"):
        ledger.fail_turn(turn, "late")
    with pytest.raises(LedgerError, match="name its final state"):
        ledger.finish_turn(turn, state="running")


def test_a_turn_that_awaits_approval_is_settled_once_more_when_it_is_decided(ledger: Ledger) -> None:
    with ledger.take_turn("flights", Trigger(), MARCH) as turn:
        ledger.finish_turn(turn, state="AwaitingApproval", verdict="needs_approval")

    assert ledger.finish_turn(turn, state="Promoted", verdict="promote").state == "Promoted"
    with pytest.raises(LedgerError):
        ledger.finish_turn(turn, state="Rejected", verdict="keep")


def test_what_is_kept_comes_back_as_it_was(ledger: Ledger) -> None:
    odd = {"nan": float("nan"), "infinite": [float("-inf")], "nul": "a\x00b", "window": MARCH, "flüge": "✈"}
    turn = ledger.finish_turn(ledger.begin_turn("flights", Trigger(), MARCH), state="Promoted", record=odd)

    assert turn.record["nan"] == "NaN"
    assert turn.record["infinite"] == ["-Infinity"]
    assert turn.record["nul"] == "a\ufffdb"
    assert turn.record["flüge"] == "✈"
    assert Window.model_validate(turn.record["window"]) == MARCH
    assert turn.started_at.tzinfo is UTC


def test_a_moment_is_kept_in_utc_whatever_zone_it_is_given_in(ledger: Ledger) -> None:
    until = datetime(2013, 3, 1, 2, tzinfo=timezone(timedelta(hours=2)))

    assert ledger.begin_turn("flights", Trigger(), Window(until=until)).window.until == MARCH.until


def test_an_unknown_turn_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="there is no turn 'nothing'"):
        ledger.turn("nothing")


def test_the_newest_turns_are_listed_oldest_first(ledger: Ledger) -> None:
    for number in range(4):
        ledger.begin_turn("flights", Trigger(reason=str(number)), MARCH)

    assert [turn.trigger.reason for turn in ledger.turns("flights", limit=2)] == ["2", "3"]
    assert ledger.models() == ["flights"]


# --- Decisions --------------------------------------------------------------------------------------------------------


def test_a_decision_is_recorded_once(ledger: Ledger) -> None:
    turn = ledger.begin_turn("flights", Trigger(), MARCH)
    first = ledger.record_decision(
        "abc",
        model="flights",
        kind="gate",
        verdict="keep",
        until=MARCH.until,
        reasons=["no gain"],
        record={"gain": 0.0},
        turn_id=turn.id,
    )
    again = ledger.record_decision("abc", model="flights", kind="gate", verdict="keep", reasons=["said differently"])

    assert again == first
    assert ledger.decisions("flights", turn_id=turn.id, kind="gate") == [first]
    assert ledger.decision("xyz") is None
    assert ledger.story(turn.id).decisions == (first,)


def test_a_decision_can_not_become_another(ledger: Ledger) -> None:
    ledger.record_decision("abc", model="flights", kind="approval", verdict="approve")

    with pytest.raises(LedgerError, match="came to 'approve'"):
        ledger.record_decision("abc", model="flights", kind="approval", verdict="reject")


def test_a_decision_of_an_unknown_turn_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no turn 'nothing'"):
        ledger.record_decision("abc", model="flights", kind="gate", verdict="keep", turn_id="nothing")


# --- Releases ---------------------------------------------------------------------------------------------------------


def intend(ledger: Ledger, number: int, expected: int | None) -> None:
    with ledger.lease("flights", scope="release") as lease:
        entry = ledger.intend_release(
            version(number),
            expected_previous=expected,
            previous_version=None,
            kind="promotion",
            reason="",
            actor="gate",
            lease=lease,
        )
        entry = ledger.advance_release(entry, "alias_set", lease=lease)
        ledger.advance_release(entry, "verified", lease=lease)


def test_of_two_who_saw_the_same_champion_one_wins(ledger: Ledger) -> None:
    intend(ledger, 1, None)
    intend(ledger, 2, 1)

    with pytest.raises(LedgerError, match=r"version 3 of 'flights' lost the race: .* release 1 .* version 2"):
        intend(ledger, 3, 1)
    current = ledger.current_release("flights")
    assert current is not None
    assert (current.seq, current.version, current.run_id, current.snapshot_digest) == (2, 2, "run-2", "d2")


def test_a_release_that_was_undone_leaves_its_number_and_not_its_champion(ledger: Ledger) -> None:
    intend(ledger, 1, None)
    with ledger.lease("flights", scope="release") as lease:
        entry = ledger.intend_release(
            version(2),
            expected_previous=1,
            previous_version=1,
            kind="promotion",
            reason="",
            actor="gate",
            lease=lease,
        )
        with pytest.raises(LedgerError, match="unfinished"):
            ledger.record_outside_release(version(3), expected_previous=1, reason="", lease=lease)
        ledger.advance_release(entry, "undone", lease=lease)
        with pytest.raises(LedgerError, match="is 'undone' and can't become 'alias_set'"):
            ledger.advance_release(entry, "alias_set", lease=lease)
    intend(ledger, 3, 1)

    assert [(entry.seq, entry.state) for entry in ledger.releases("flights")] == [
        (1, "verified"),
        (2, "undone"),
        (3, "verified"),
    ]


def test_who_lost_the_release_lease_writes_no_release(ledger: Ledger) -> None:
    with ledger.lease("flights", scope="release") as old:
        pass
    with pytest.raises(BusyError, match="no longer held"):
        ledger.intend_release(
            version(1), expected_previous=None, previous_version=None, kind="promotion", reason="", actor="", lease=old
        )
    assert ledger.releases("flights") == []


def test_a_turn_that_was_taken_over_can_not_release(ledger: Ledger) -> None:
    with ledger.lease("flights") as lease:
        old = ledger.begin_turn("flights", Trigger(), MARCH, lease=lease)
    with (
        ledger.lease("flights"),
        ledger.lease("flights", scope="release") as lease,
        pytest.raises(BusyError, match="turn lease"),
    ):
        ledger.intend_release(
            version(1),
            expected_previous=None,
            previous_version=None,
            kind="promotion",
            reason="",
            actor="",
            lease=lease,
            turn=old,
        )
