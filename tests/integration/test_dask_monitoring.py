"""Logs that the workers of a Dask scheduler read, as in one process, and workers that can't do the work."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.killing_spread import Killing
from support.logs import EVENT_TIME, FEATURES, answered, log_answers, log_labels

from everfit.blocks.errors import WorkersError
from everfit.tasks.core.cluster import ADDRESS, RUNNER
from everfit.tasks.core.records import Window
from everfit.tasks.core.spread import current_spread, in_turn, spread_by
from everfit.tasks.monitoring.evidence import attempt
from everfit.tasks.monitoring.live_predictions import read_live_predictions
from everfit.tasks.monitoring.signals.rhythm import read_rhythm
from everfit.tasks.predictions.drawn_answers import labelled_times
from everfit.tasks.predictions.labelled_predictions import read_labelled_predictions
from everfit.tasks.statistics.profile import profile_frame
from everfit.tasks.steps import dask_workers
from everfit.tasks.steps.dask_workers import what_is_missing
from everfit.tasks.steps.task_runners import check_reach, executor, workers
from everfit.tasks.storage.tables import Table
from everfit.tasks.triage.signals import DataSignal

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"
)

WINDOW = Window(since=datetime(2024, 3, 1, tzinfo=UTC), until=datetime(2024, 3, 8, tzinfo=UTC))
UNTIL = datetime(2024, 4, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _on_dask(shared_scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNNER, "dask")
    monkeypatch.setenv(ADDRESS, shared_scheduler)


def measured(log: Table, known: Table) -> dict[str, Any]:
    """All that a look reads of the log and the labels."""
    reference = answered("2024-02-01", 500)
    profile = profile_frame(reference.assign(_score=reference["score"]), list(FEATURES), predictions=["_score"])
    spread = current_spread()
    live = read_live_predictions(
        log, WINDOW, EVENT_TIME, profile, 1, sample_rows=200, max_client_share=0.6, spread=spread
    )
    answers = read_labelled_predictions(
        log, known, WINDOW, EVENT_TIME, UNTIL, task="binary", classes=("0", "1"), version=1, most=1_000
    )
    times, draw = labelled_times(log, known, WINDOW, EVENT_TIME, UNTIL, version=1)
    hours = read_rhythm(log, None, WINDOW, EVENT_TIME, released=WINDOW.until - timedelta(days=30), columns=[*FEATURES])
    return {"live": live, "answers": answers, "times": times, "draw": draw, "hours": hours}


def test_a_look_on_workers_of_which_one_dies_at_each_reading_finds_what_one_process_finds(
    shared_scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, client in enumerate(("shop", "bad")):
        rows = answered("2024-03-01", 1_500 + number, seed=number)
        log = log_answers(tmp_path, rows.assign(id=rows["id"] + client), client=client)
        known = log_labels(tmp_path, rows.assign(id=rows["id"] + client))
    monkeypatch.setattr("everfit.tasks.storage.table_parts.PART_ROWS", 400)
    monkeypatch.setattr("everfit.tasks.predictions.drawn_answers.MOST", 1_000)
    with workers(str(tmp_path)) as spread, spread_by(Killing(spread, shared_scheduler)) as killing:
        there = measured(log, known)

    here = measured(log, known)

    assert current_spread() is in_turn
    assert isinstance(killing, Killing)
    assert killing.killed >= 5
    assert not here["answers"].draw.is_all
    pd.testing.assert_frame_equal(there["live"].sample, here["live"].sample)
    for part in ("counts", "versions", "clients", "left_out", "outliers", "newest"):
        assert getattr(there["live"], part) == getattr(here["live"], part)
    assert there["live"].latencies.percentile(99) == here["live"].latencies.percentile(99)
    pd.testing.assert_frame_equal(there["answers"].rows, here["answers"].rows)
    pd.testing.assert_frame_equal(there["times"], here["times"])
    assert (there["draw"], there["hours"]) == (here["draw"], here["hours"])


def test_a_worker_that_does_not_reach_a_place_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder under /proc/self/cwd is another one for each process, as where workers mount nothing."""
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").touch()
    mine = "/proc/self/cwd/workspace"

    with pytest.raises(WorkersError, match=rf"worker tcp://\S+ does not reach '{mine}': it has no such folder; mount"):
        check_reach(mine)
    with (
        pytest.raises(WorkersError, match=r"does not reach 'rows.csv': it has no such file"),
        executor(2, (), ["rows.csv"]),
    ):
        pass
    check_reach(str(tmp_path))
    with executor(2, [str(tmp_path)], [str(tmp_path / "rows.csv")]) as there:
        assert there.submit(pow, 2, 3).result() == 8
    assert not [path for path in tmp_path.rglob(".reached*") if path.is_file()]


def test_a_server_that_a_worker_does_not_reach_is_told() -> None:
    """As where the address is one of the flow's own machine alone."""
    with pytest.raises(
        WorkersError, match=r"worker tcp://\S+ does not reach 'http://127.0.0.1:9/api': ConnectError.*; give an address"
    ):
        check_reach(servers=["http://127.0.0.1:9/api"])


def test_a_worker_that_mounts_something_else_there_is_told(tmp_path: Path) -> None:
    assert (
        what_is_missing([(str(tmp_path), str(tmp_path / "marker"))], [])[1] == "it sees another folder under this path"
    )


def test_a_file_that_a_worker_may_not_look_for_is_missing_and_no_lost_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_: Path) -> bool:
        raise PermissionError("forbidden")

    monkeypatch.setattr(Path, "exists", forbidden)
    assert what_is_missing([], ["/data/rows.csv"]) == ["/data/rows.csv", "PermissionError: forbidden"]


@pytest.mark.parametrize(
    ("named", "own", "told"),
    [
        ("everfit", "99.1", r"has everfit \S+, and this process everfit 99.1; install the same there: pip install"),
        ("everfit-that-is-not-there", "99.1", r"has no everfit, and this process everfit 99.1"),
    ],
)
def test_a_worker_of_another_version_is_told(named: str, own: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_workers, "_EVERFIT", named)
    monkeypatch.setattr(dask_workers, "version", lambda _: own)
    with pytest.raises(WorkersError, match=told):
        check_reach()


def test_a_worker_of_another_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version_tuple", lambda: ("3", "99", "1"))
    with pytest.raises(
        WorkersError, match=r"runs Python 3\.\d+, and this process Python 3\.99; start it with the same"
    ):
        check_reach()


def test_workers_that_are_gone_end_a_look_and_are_no_evidence() -> None:
    def measure() -> DataSignal:
        raise WorkersError("the Dask scheduler is gone")

    with pytest.raises(WorkersError, match="is gone"):
        attempt(measure, DataSignal)
