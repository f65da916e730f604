"""A lease has one holder, is never waited for in vain, and who lost it is told."""

import multiprocessing
import os
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from support.leases import held_leases

from everfit.blocks.errors import BusyError
from everfit.tasks.ledger import LeaseHeldError, Ledger
from everfit.tasks.ledger.holder_watch import looks_held
from everfit.tasks.ledger.leases import HeldLease
from everfit.tasks.ledger.process_identity import is_dead, this_process
from everfit.tasks.ledger.schema import leases

SECOND, SPAN = timedelta(seconds=1), timedelta(seconds=0.5)


def change(ledger: Ledger, **values: object) -> None:
    """Make a lease look as if another machine, or another process, held it."""
    with ledger.store.write("flights") as connection:
        connection.execute(update(leases).values(**values))


def test_a_lease_has_one_holder_and_says_who(ledger: Ledger) -> None:
    with ledger.leases.hold("flights", holder="ann", turn_id="t1"):
        with (
            pytest.raises(LeaseHeldError, match=r"ann@.*'t1'.*last heartbeat 0 s ago") as caught,
            ledger.leases.hold("flights"),
        ):
            pass
        assert caught.value.lease.pid == os.getpid()
        assert [lease.turn_id for lease in held_leases(ledger, "flights")] == ["t1"]
    assert held_leases(ledger, "flights") == []


def test_turns_and_releases_do_not_wait_for_each_other(ledger: Ledger) -> None:
    with ledger.leases.hold("flights"), ledger.leases.hold("flights", scope="release") as lease:
        assert lease.token == 1


def test_each_holder_has_a_newer_token(ledger: Ledger) -> None:
    tokens = []
    for _ in range(3):
        with ledger.leases.hold("flights") as lease:
            tokens.append(lease.token)

    assert tokens == [1, 2, 3]


def test_a_lease_is_waited_for_and_no_longer_than_was_said(ledger: Ledger) -> None:
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with ledger.leases.hold("flights"):
            taken.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(30)
    began = time.monotonic()
    with pytest.raises(BusyError), ledger.leases.hold("flights", wait=timedelta(seconds=0.3)):
        pass
    assert 0.3 <= time.monotonic() - began < 10

    threading.Timer(0.1, done.set).start()
    with ledger.leases.hold("flights", wait=30 * SECOND) as lease:
        assert lease.token == 2
    thread.join()


def _hold_for_ever(url: str, taken: "multiprocessing.synchronize.Event") -> None:
    with Ledger.open(url).leases.hold("flights", span=timedelta(hours=1)):
        taken.set()
        signal.pause()


def test_a_holder_that_was_killed_on_this_host_is_taken_over_at_once(ledger: Ledger, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    taken = context.Event()
    process = context.Process(target=_hold_for_ever, args=(f"sqlite:///{tmp_path / 'ledger.db'}", taken))
    process.start()
    assert taken.wait(30)
    with pytest.raises(BusyError), ledger.leases.hold("flights"):
        pass
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    # Not even waited for by its parent: it is a zombie, whose number is still there.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    with ledger.leases.hold("flights") as lease:
        assert lease.token == 2
    process.join()


def test_a_holder_whose_number_went_to_another_process_is_dead() -> None:
    here = this_process()

    assert not is_dead(here.host, here.pid, here.process_started)
    assert is_dead(here.host, here.pid, "long ago")
    assert not is_dead("another machine", 1, "long ago")


def silent(ledger: Ledger, lease: HeldLease, *, ahead: timedelta) -> None:
    """Let the holder be on another machine, whose clock is ahead, and send no more heartbeats."""
    lease._stop.set()
    lease._thread.join()
    with ledger.store.read() as connection:
        there = ledger.store.now(connection) + ahead
    change(ledger, host="another machine", beat_at=there, expires_at=there + SPAN)


@pytest.mark.parametrize("ahead", [timedelta(days=-1), timedelta(days=400)], ids=["over", "in the future"])
def test_a_silent_holder_is_taken_over_after_its_span_whatever_its_clock_says(ledger: Ledger, ahead: timedelta) -> None:
    with ledger.leases.hold("flights", span=SPAN) as lost:
        silent(ledger, lost, ahead=ahead)
        began = time.monotonic()
        with ledger.leases.hold("flights") as lease:
            assert time.monotonic() - began >= SPAN.total_seconds()
            assert lease.token == 2
            with pytest.raises(BusyError, match="was lost"):
                lost.confirm()
            assert lost.lost
            lease.confirm()


@pytest.mark.parametrize("ahead", [timedelta(days=-1), timedelta(days=400)], ids=["behind", "ahead"])
def test_a_living_holder_keeps_its_lease_when_a_clock_jumps(
    ledger: Ledger, ahead: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.leases.hold("flights", span=4 * SPAN) as living:
        change(ledger, host="another machine")
        other, now = Ledger.open(ledger.url), ledger.store.now
        monkeypatch.setattr(other.store, "now", lambda connection: now(connection) - ahead)
        with pytest.raises(BusyError), other.leases.hold("flights"):
            pass
        assert not living.lost


def test_a_holder_whose_times_are_in_order_is_not_watched_for_long(ledger: Ledger) -> None:
    with ledger.leases.hold("flights", span=timedelta(hours=1)):
        change(ledger, host="another machine")
        began = time.monotonic()
        with pytest.raises(BusyError), ledger.leases.hold("flights"):
            pass
        assert time.monotonic() - began < 10


def test_a_turn_runs_while_its_process_does_whatever_the_clock_says(ledger: Ledger) -> None:
    with ledger.leases.hold("flights") as lease:
        (held,) = held_leases(ledger, "flights")
        assert looks_held(held, held.acquired_at + timedelta(days=400))
        elsewhere = held.model_copy(update={"host": "another machine"})
        assert looks_held(elsewhere, held.acquired_at + SECOND)
        assert not looks_held(elsewhere, held.expires_at)
        assert not looks_held(elsewhere, held.beat_at - timedelta(days=1))
        lease.confirm()


def test_a_lease_beats_for_as_long_as_it_is_held(ledger: Ledger) -> None:
    with ledger.leases.hold("flights", span=timedelta(seconds=0.4)) as lease:
        first = held_leases(ledger, "flights")[0]
        deadline = time.monotonic() + 30
        while held_leases(ledger, "flights")[0].beat_at < first.expires_at:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert not lease.lost


def test_a_lease_that_was_lost_is_noticed_by_its_beat_and_not_given_back(ledger: Ledger) -> None:
    with ledger.leases.hold("flights", span=timedelta(seconds=0.4)) as lease:
        change(ledger, token=7, holder="somebody else")
        deadline = time.monotonic() + 30
        while not lease._lost:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    assert [left.token for left in held_leases(ledger, "flights")] == [7]


def test_a_lease_that_could_not_beat_counts_as_lost(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    with ledger.leases.hold("flights", span=timedelta(seconds=0.4)) as lease:
        lease._beaten -= 1
        assert lease.lost
