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
from everfit.tasks.ledger.process_identity import is_dead, this_process
from everfit.tasks.ledger.schema import leases

SECOND = timedelta(seconds=1)


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


def test_a_holder_on_another_host_is_believed_until_its_lease_has_run_out(ledger: Ledger) -> None:
    with ledger.leases.hold("flights") as lost:
        change(ledger, host="another machine")
        with pytest.raises(BusyError), ledger.leases.hold("flights"):
            pass
        with ledger.store.read() as connection:
            past = ledger.store.now(connection) - SECOND
        change(ledger, expires_at=past)
        with ledger.leases.hold("flights") as lease:
            assert lease.token == 2
            with pytest.raises(BusyError, match="was lost"):
                lost.confirm()
            assert lost.lost
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
