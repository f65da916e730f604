"""Calls for turns: one of many starts the turn, and one that died is started again."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from everfit.tasks.ledger import Ledger, Turn
from everfit.tasks.records import Record, Trigger, Window

WINDOW = Window(until=datetime(2024, 3, 1, tzinfo=UTC))


class Says(Record):
    admitted: bool
    reason: str = "so it was decided"


def yes(_: Sequence[Turn]) -> Says:
    return Says(admitted=True)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_of_many_calls_one_starts_the_turn(ledger: Ledger) -> None:
    trigger = Trigger(kind="quality", id="the decision")
    with ThreadPoolExecutor(20) as pool:
        calls = list(pool.map(lambda _: ledger.call_turn("m", trigger, WINDOW, may_start=yes), range(20)))

    assert sum(call.start for call in calls) == 1
    assert {call.turn_id for call in calls} == {trigger.turn_id("m", WINDOW.until)}
    assert len(ledger.turns("m")) == 1


def test_different_calls_at_once_see_each_other(ledger: Ledger) -> None:
    def unless_running(turns: Sequence[Turn]) -> Says:
        return Says(admitted=not any(turn.state == "running" for turn in turns))

    with ThreadPoolExecutor(20) as pool:
        calls = list(
            pool.map(
                lambda number: ledger.call_turn("m", Trigger(id=str(number)), WINDOW, may_start=unless_running),
                range(20),
            )
        )

    assert sum(call.start for call in calls) == 1
    assert [call.reason for call in calls if call.turn_id is None] == ["so it was decided"] * 19


def test_the_turn_that_was_called_for_is_the_one_that_is_taken(ledger: Ledger) -> None:
    trigger = Trigger(kind="quality", id="the decision")
    call = ledger.call_turn("m", trigger, WINDOW, may_start=yes)

    with ledger.take_turn("m", trigger, WINDOW) as turn:
        assert (turn.id, turn.attempt) == (call.turn_id, 1)
        assert ledger.turns_as_seen("m")[0].state == "running"
        ledger.finish_turn(turn, state="ChampionKept")

    assert not ledger.call_turn("m", trigger, WINDOW, may_start=yes).start


def test_a_turn_that_failed_is_started_again_by_the_next_call(ledger: Ledger) -> None:
    trigger = Trigger(kind="quality", id="the decision")
    ledger.call_turn("m", trigger, WINDOW, may_start=yes)
    with pytest.raises(RuntimeError), ledger.take_turn("m", trigger, WINDOW):
        raise RuntimeError("out of memory")

    assert ledger.call_turn("m", trigger, WINDOW, may_start=yes).start
    assert not ledger.call_turn("m", trigger, WINDOW, may_start=yes).start
    assert len(ledger.turns("m")) == 1


def test_a_turn_whose_process_died_counts_as_failed(ledger: Ledger) -> None:
    trigger = Trigger(kind="quality", id="the decision")
    with ledger.lease("m") as lease:
        ledger.begin_turn("m", trigger, WINDOW, lease=lease)

    assert ledger.turns_as_seen("m")[0].state == "failed"
    assert ledger.call_turn("m", trigger, WINDOW, may_start=yes).start
