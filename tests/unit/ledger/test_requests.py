"""Calls for turns: one of many starts the turn, and one that died is started again."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from support.leases import held_leases

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.records import Record, Trigger, Window
from everfit.tasks.ledger import LeaseHeldError, Ledger, Turn

WINDOW = Window(until=datetime(2024, 3, 1, tzinfo=UTC))


class Says(Record):
    admitted: bool
    reason: str = "so it was decided"


def yes(_: Sequence[Turn]) -> Says:
    return Says(admitted=True)


def test_of_many_calls_one_starts_the_turn(ledger: Ledger) -> None:
    trigger = Trigger(kind="quality", id="the decision")
    with ThreadPoolExecutor(20) as pool:
        calls = list(pool.map(lambda _: ledger.turns.request("m", trigger, WINDOW, may_start=yes), range(20)))

    assert sum(call.start for call in calls) == 1
    assert {call.turn_id for call in calls} == {trigger.turn_id("m", WINDOW.until)}
    assert len(ledger.turns.of("m")) == 1


def test_different_calls_at_once_see_each_other(ledger: Ledger) -> None:
    def unless_running(turns: Sequence[Turn]) -> Says:
        return Says(admitted=not any(turn.state == "running" for turn in turns))

    with ThreadPoolExecutor(20) as pool:
        calls = list(
            pool.map(
                lambda number: ledger.turns.request("m", Trigger(id=str(number)), WINDOW, may_start=unless_running),
                range(20),
            )
        )

    assert sum(call.start for call in calls) == 1
    assert [call.reason for call in calls if call.turn_id is None] == ["so it was decided"] * 19


def test_the_turn_that_was_called_for_is_the_one_that_is_taken(ledger: Ledger) -> None:
    trigger = Trigger(kind="quality", id="the decision")
    call = ledger.turns.request("m", trigger, WINDOW, may_start=yes)

    with ledger.turns.take("m", trigger, WINDOW) as turn:
        assert (turn.id, turn.attempt) == (call.turn_id, 1)
        assert ledger.turns.observed("m")[0].state == "running"
        ledger.turns.finish(turn, state="ChampionKept")

    assert not ledger.turns.request("m", trigger, WINDOW, may_start=yes).start


def test_a_turn_that_failed_is_started_again_by_the_next_call(ledger: Ledger) -> None:
    trigger = Trigger(kind="quality", id="the decision")
    ledger.turns.request("m", trigger, WINDOW, may_start=yes)
    with pytest.raises(RuntimeError), ledger.turns.take("m", trigger, WINDOW):
        raise RuntimeError("out of memory")

    assert ledger.turns.request("m", trigger, WINDOW, may_start=yes).start
    assert not ledger.turns.request("m", trigger, WINDOW, may_start=yes).start
    assert len(ledger.turns.of("m")) == 1


def test_a_turn_whose_process_died_counts_as_failed(ledger: Ledger) -> None:
    trigger = Trigger(kind="quality", id="the decision")
    with ledger.leases.hold("m") as lease:
        ledger.turns.begin("m", trigger, WINDOW, lease=lease)

    assert ledger.turns.observed("m")[0].state == "failed"
    assert ledger.turns.request("m", trigger, WINDOW, may_start=yes).start


class Crowd:
    """Who calls for a turn at once: the one that runs it ends it when all others have found it taken."""

    def __init__(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        self._waiting: set[int] = set()
        self._changed = threading.Condition()
        take = ledger.leases.take

        def counting(*arguments: Any, **named: Any) -> Any:
            try:
                return take(*arguments, **named)
            except LeaseHeldError:
                with self._changed:
                    self._waiting.add(threading.get_ident())
                    self._changed.notify_all()
                raise

        monkeypatch.setattr(ledger.leases, "take", counting)

    def wait_for(self, others: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._waiting) == others, timeout=30)


def run_or_hear(ledger: Ledger, trigger: Trigger, ends: str, crowd: Crowd | None = None, others: int = 0) -> str:
    """What a caller of a turn gets: `ran` it, or the state in which it ended, or an error in words."""
    try:
        with ledger.turns.start("m", trigger.turn_id("m", WINDOW.until)) as ended:
            if ended is not None:
                return ended.state
            with ledger.turns.take("m", trigger, WINDOW) as turn:
                if crowd is not None:
                    crowd.wait_for(others)
                if ends == "failed":
                    raise RuntimeError("out of memory")
                ledger.turns.finish(turn, state=ends)
            return "ran"
    except (RuntimeError, EverfitError) as error:
        return str(error)


def test_of_many_callers_one_runs_the_turn_and_the_others_hear_how_it_ended(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = Crowd(ledger, monkeypatch)
    with ThreadPoolExecutor(20) as pool:
        heard = list(pool.map(lambda _: run_or_hear(ledger, Trigger(), "Promoted", crowd, others=19), range(20)))

    assert sorted(heard) == ["Promoted"] * 19 + ["ran"]
    assert [(turn.state, turn.attempt) for turn in ledger.turns.of("m")] == [("Promoted", 1)]
    assert held_leases(ledger, "m") == []
    # Whoever calls later hears it at once.
    assert run_or_hear(ledger, Trigger(), "Promoted") == "Promoted"


def test_those_who_waited_for_a_turn_that_failed_do_not_fail_at_it_one_by_one(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = Crowd(ledger, monkeypatch)
    with ThreadPoolExecutor(8) as pool:
        heard = list(pool.map(lambda _: run_or_hear(ledger, Trigger(), "failed", crowd, others=7), range(8)))

    assert heard.count("out of memory") == 1
    assert sum("RuntimeError: out of memory; fix the cause and run it again" in each for each in heard) == 7
    assert [turn.attempt for turn in ledger.turns.of("m")] == [1]
    # It isn't waited for any more, and so may be run again.
    assert run_or_hear(ledger, Trigger(), "Promoted") == "ran"


def test_a_caller_of_another_turn_is_told_that_the_model_is_busy(ledger: Ledger) -> None:
    with ledger.turns.start("m", "m-1") as ended:
        assert ended is None
        with pytest.raises(LeaseHeldError, match="has run turn 'm-1'"), ledger.turns.start("m", "m-2"):
            pass
