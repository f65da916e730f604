"""Work of many models in a few threads."""

import threading
from pathlib import Path

import pytest
from support.stack import wait_for

from everfit.blocks.errors import ModelError
from everfit.infra.serving.endpoint import Endpoint
from everfit.infra.serving.rounds import Round, Rounds
from everfit.tasks.storage.tables import Table

_LONG_S = 60.0
_SOON_S = 30.0


class Work:
    """Work that notes in which threads it runs, and whether it ever runs twice at once."""

    def __init__(self, runs: int, pause_s: float = 0.0) -> None:
        self.left, self.pause_s = runs, pause_s
        self.threads: set[int] = set()
        self.overlapped = False
        self.done = threading.Event()
        self._running = threading.Lock()

    def __call__(self) -> float:
        if not self._running.acquire(blocking=False):
            self.overlapped = True
            return _LONG_S
        with_own = self._running
        try:
            self.threads.add(threading.get_ident())
            self.left -= 1
            if not self.left:
                self.done.set()
            return self.pause_s if self.left > 0 else _LONG_S
        finally:
            with_own.release()


def test_many_pieces_of_work_share_a_few_threads_and_none_runs_twice_at_once() -> None:
    rounds, works = Rounds("shared", 3), [Work(20) for _ in range(30)]
    for work in works:
        rounds.begin(work)
    assert all(work.done.wait(_SOON_S) for work in works)
    assert len(set().union(*(work.threads for work in works))) <= 3
    assert not any(work.overlapped for work in works)


def test_threads_end_when_no_work_is_left() -> None:
    rounds, works = Rounds("leaving", 3), [Work(1) for _ in range(10)]
    begun = [rounds.begin(work) for work in works]
    assert all(work.done.wait(_SOON_S) for work in works)
    assert all(one.end(_SOON_S) for one in begun)
    wait_for(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("leaving")])

    again = Work(1)
    rounds.begin(again)
    assert again.done.wait(_SOON_S)


def test_work_that_is_ended_right_after_its_run_is_not_due_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Round.run

    def run_and_end(begun: Round) -> None:
        run(begun)
        begun.end(_SOON_S)  # as another thread may do at this moment

    monkeypatch.setattr(Round, "run", run_and_end)
    Rounds("late").begin(lambda: 24 * 3600.0)

    wait_for(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("late")], _SOON_S)


def test_work_that_hangs_does_not_keep_others_from_running() -> None:
    rounds, hangs, goes_on = Rounds("hanging", 2), threading.Event(), Work(3)

    def hang() -> float:
        hangs.wait(_LONG_S)
        return _LONG_S

    rounds.begin(hang)
    rounds.begin(goes_on)
    assert goes_on.done.wait(_SOON_S)
    hangs.set()


def test_ended_work_has_run_to_its_end_and_does_not_run_again() -> None:
    rounds, under_way, finish, runs = Rounds("ended"), threading.Event(), threading.Event(), []

    def work() -> float:
        under_way.set()
        finish.wait(_SOON_S)
        runs.append("done")
        return 0.0

    begun = rounds.begin(work)
    assert under_way.wait(_SOON_S)
    assert not begun.end(0.01)
    finish.set()
    assert begun.end(_SOON_S)
    others = Work(3)
    rounds.begin(others)
    assert others.done.wait(_SOON_S)
    assert runs == ["done"]


def test_an_error_in_one_piece_of_work_leaves_the_others_alone(caplog: pytest.LogCaptureFixture) -> None:
    rounds, others = Rounds("failing"), Work(3)

    def fail() -> float:
        raise ValueError("a bug")

    rounds.begin(fail)
    rounds.begin(others)
    assert others.done.wait(_SOON_S)
    assert "a bug" in caplog.text


def test_twenty_models_need_no_more_threads_than_their_rounds_have(tmp_path: Path) -> None:
    def no_registry() -> None:
        raise ModelError("MLflow does not answer")

    drains, checks = Rounds("drains", 3), Rounds("checks", 3)
    before = threading.active_count()
    endpoints = [
        Endpoint(
            f"model-{number}",
            no_registry,  # type: ignore[arg-type] # it only raises
            tmp_path / f"state-{number}",
            Table(str(tmp_path / f"log-{number}")),
            Table(str(tmp_path / f"labels-{number}")),
            drains=drains,
            checks=checks,
        )
        for number in range(20)
    ]
    try:
        for endpoint in endpoints:
            endpoint.start()
        assert threading.active_count() - before <= 6
    finally:
        for endpoint in endpoints:
            endpoint.stop()
