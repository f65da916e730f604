"""Each turn is in the ledger once, under one lease, from its beginning to its end."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from everfit.blocks.errors import BusyError, LedgerError
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Ledger, Turn

MARCH = Window(since=datetime(2013, 1, 1, tzinfo=UTC), until=datetime(2013, 3, 1, tzinfo=UTC))


def test_the_same_trigger_gives_one_turn_and_a_settled_one_is_given_back(ledger: Ledger) -> None:
    first = ledger.turns.begin("flights", Trigger(reason="monthly"), MARCH, spec_digest="s", code_version="c")
    settled = ledger.turns.finish(first, state="Promoted", verdict="promote", reasons=["better"], seconds=3.5)
    again = ledger.turns.begin("flights", Trigger(reason="monthly"), MARCH)

    assert again == settled
    assert (again.state, again.seq, again.reasons, again.window) == ("Promoted", 1, ("better",), MARCH)
    assert ledger.turns.begin("flights", Trigger(reason="another"), MARCH).seq == 2
    assert ledger.turns.begin("delays", Trigger(reason="monthly"), MARCH).seq == 1


def test_a_hundred_who_begin_the_same_turn_begin_one(ledger: Ledger) -> None:
    with ThreadPoolExecutor(20) as pool:
        begun = list(pool.map(lambda _: ledger.turns.begin("flights", Trigger(), MARCH), range(100)))

    assert {turn.id for turn in begun} == {ledger.turns.of("flights")[0].id}
    assert len(ledger.turns.of("flights")) == 1


def test_of_a_hundred_who_take_the_same_turn_one_runs_it(ledger: Ledger) -> None:
    ran: list[str] = []

    def take(number: int) -> Turn:
        with ledger.turns.take("flights", Trigger(), MARCH, holder=f"number {number}") as turn:
            if turn.settled:
                return turn
            ran.append(turn.id)
            return ledger.turns.finish(turn, state="Promoted", verdict="promote")

    with ThreadPoolExecutor(100) as pool:
        turns = list(pool.map(take, range(100)))

    assert len(ran) == 1
    assert {turn.state for turn in turns} == {"Promoted"}


def test_another_turn_of_the_model_is_busy_at_once_and_another_model_is_not(ledger: Ledger) -> None:
    with ledger.turns.take("flights", Trigger(reason="one"), MARCH, holder="ann") as turn:
        with (
            pytest.raises(BusyError, match=rf"'flights' is busy: ann@.* turn '{turn.id}' since 20"),
            ledger.turns.take("flights", Trigger(reason="two"), MARCH),
        ):
            pass
        with ledger.turns.take("delays", Trigger(reason="two"), MARCH) as other:
            assert other.seq == 1


def test_a_turn_that_broke_off_is_failed_and_taken_up_again(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.turns.take("flights", Trigger(), MARCH):
        _ = 1 / 0
    failed = ledger.turns.of("flights")[0]

    with ledger.turns.take("flights", Trigger(), MARCH) as turn:
        assert (turn.id, turn.state, turn.attempt, turn.error) == (failed.id, "running", 2, None)
    assert (failed.state, failed.error) == ("failed", "ZeroDivisionError: division by zero")


def test_a_busy_error_inside_a_turn_is_not_taken_for_waiting(ledger: Ledger) -> None:
    trigger = Trigger()
    turn_id = trigger.turn_id("flights", MARCH.until)
    with (
        pytest.raises(BusyError),
        ledger.turns.take("flights", trigger, MARCH),
        ledger.leases.hold("flights", scope="release", turn_id=turn_id),
        ledger.leases.hold("flights", scope="release", turn_id=turn_id),
    ):
        pass

    assert ledger.turns.get(turn_id).state == "failed"


def test_a_turn_that_was_taken_over_can_not_be_finished_by_the_one_before(ledger: Ledger) -> None:
    with ledger.leases.hold("flights") as lease:
        old = ledger.turns.begin("flights", Trigger(), MARCH, lease=lease)
    with ledger.leases.hold("flights") as lease:
        new = ledger.turns.begin("flights", Trigger(), MARCH, lease=lease)

        with pytest.raises(BusyError, match="token 1 is no longer held"):
            ledger.turns.finish(old, state="Promoted")
        with pytest.raises(BusyError, match="token 1 is no longer held"):
            ledger.turns.fail(old, "too late")
        assert ledger.turns.finish(new, state="ChampionKept").state == "ChampionKept"


def test_a_settled_turn_can_be_settled_the_same_way_only(ledger: Ledger) -> None:
    turn = ledger.turns.begin("flights", Trigger(), MARCH)
    settled = ledger.turns.finish(turn, state="ChampionKept", verdict="keep")

    assert ledger.turns.finish(turn, state="ChampionKept", verdict="keep") == settled
    with pytest.raises(LedgerError, match="settled as 'ChampionKept'"):
        ledger.turns.finish(turn, state="Promoted", verdict="promote")
    with pytest.raises(LedgerError, match="can no longer fail"):
        ledger.turns.fail(turn, "late")
    with pytest.raises(LedgerError, match="name its final state"):
        ledger.turns.finish(turn, state="running")


def test_a_turn_that_awaits_approval_is_settled_once_more_when_it_is_decided(ledger: Ledger) -> None:
    with ledger.turns.take("flights", Trigger(), MARCH) as turn:
        ledger.turns.finish(turn, state="AwaitingApproval", verdict="needs_approval")

    assert ledger.turns.finish(turn, state="Promoted", verdict="promote").state == "Promoted"
    with pytest.raises(LedgerError):
        ledger.turns.finish(turn, state="Declined", verdict="keep")


def test_what_is_kept_comes_back_as_it_was(ledger: Ledger) -> None:
    odd = {"nan": float("nan"), "infinite": [float("-inf")], "nul": "a\x00b", "window": MARCH, "flüge": "✈"}
    turn = ledger.turns.finish(ledger.turns.begin("flights", Trigger(), MARCH), state="Promoted", record=odd)

    assert turn.record["nan"] == "NaN"
    assert turn.record["infinite"] == ["-Infinity"]
    assert turn.record["nul"] == "a\ufffdb"
    assert turn.record["flüge"] == "✈"
    assert Window.model_validate(turn.record["window"]) == MARCH
    assert turn.started_at.tzinfo is UTC


def test_a_moment_is_kept_in_utc_whatever_zone_it_is_given_in(ledger: Ledger) -> None:
    until = datetime(2013, 3, 1, 2, tzinfo=timezone(timedelta(hours=2)))

    assert ledger.turns.begin("flights", Trigger(), Window(until=until)).window.until == MARCH.until


def test_an_unknown_turn_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="there is no turn 'nothing'"):
        ledger.turns.get("nothing")


def test_the_newest_turns_are_listed_oldest_first(ledger: Ledger) -> None:
    for number in range(4):
        ledger.turns.begin("flights", Trigger(reason=str(number)), MARCH)

    assert [turn.trigger.reason for turn in ledger.turns.of("flights", limit=2)] == ["2", "3"]
    assert ledger.turns.models() == ["flights"]


def test_a_running_turn_keeps_its_record_part_by_part_until_it_ends_or_is_run_again(ledger: Ledger) -> None:
    first = ledger.turns.begin("flights", Trigger(), MARCH)
    ledger.turns.keep(first, {"own_flow": "nightly"})
    ledger.turns.keep(first, {"split": 1})
    ledger.turns.keep(first, {"split": 2})
    assert ledger.turns.get(first.id).record == {"own_flow": "nightly", "split": 2}
    assert ledger.turns.fail(first, "it broke off").record == {"own_flow": "nightly", "split": 2}

    again = ledger.turns.begin("flights", Trigger(), MARCH)
    assert again.record == {}
    ledger.turns.keep(again, {"split": 3})
    assert ledger.turns.finish(again, state="Promoted").record == {"split": 3}
    with pytest.raises(LedgerError, match="nothing can be added to its record"):
        ledger.turns.keep(again, {"split": 4})


def test_a_process_that_has_lost_a_turn_adds_nothing_to_its_record(ledger: Ledger) -> None:
    with ledger.turns.take("flights", Trigger(), MARCH) as turn:
        lost = turn.model_copy(update={"fence": (turn.fence or 0) - 1})
        with pytest.raises(BusyError):
            ledger.turns.keep(lost, {"split": 1})
        assert ledger.turns.get(turn.id).record == {}
