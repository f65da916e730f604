"""Parts of a table are staged, checked and scored on the workers of a Dask scheduler, as in one process."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from support.dying_model import DiesOnce
from support.killing_spread import Killing
from support.turns import Loop, sales, small_tables
from support.ways_in import LATER, table_of

from everfit.blocks.errors import EverfitError, WorkersError
from everfit.tasks.core.cluster import ADDRESS, RUNNER
from everfit.tasks.core.records import Window
from everfit.tasks.core.spread import in_turn
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.scoring.batch_scoring import ScoringBatch, score_window
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.steps.task_runners import executor, workers
from everfit.tasks.storage.workspace import Workspace

dask = pytest.importorskip("dask")
pytest.importorskip("distributed")  # now: it adds to Dask's settings, which are set back after some tests
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"
)

ROWS, AT_ONCE = 700, 50


def chunks(rows: int = ROWS) -> Iterator[pd.DataFrame]:
    table = table_of("numbers", ["price"], rows).drop(columns="y")
    return (table[start : start + AT_ONCE].reset_index(drop=True) for start in range(0, rows, AT_ONCE))


def scorer(folder: Path) -> Scorer:
    rows = table_of("numbers", ["price"], AT_ONCE)
    inputs = InputSchema.of_frame(rows, task="binary", features=["price"], key=["id"], event_time="at", target="y")
    return Scorer(DiesOnce(str(folder / "died")), inputs, 1)


def test_a_worker_that_dies_while_it_scores_loses_and_doubles_nothing(
    shared_scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUNNER, "dask")
    monkeypatch.setenv(ADDRESS, shared_scheduler)
    model, workspace, batch = scorer(tmp_path), Workspace(str(tmp_path / "ws")), ScoringBatch(Window(until=LATER))
    log, here = workspace.table("spread", "predictions"), workspace.table("here", "predictions")

    with workers() as spread:
        added, aside = score_window(model, chunks(), log, batch, spread=spread)
        again, _ = score_window(model, chunks(), log, batch, spread=spread)

    assert (added, aside.read, again) == (ROWS, ROWS, 0)
    assert (tmp_path / "died").exists()
    assert score_window(model, chunks(), here, batch)[0] == ROWS
    in_order = [table.read().sort_values("_prediction_id", ignore_index=True) for table in (log, here)]
    pd.testing.assert_frame_equal(*in_order)


def test_chunks_are_read_as_they_are_needed(
    shared_scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUNNER, "dask")
    monkeypatch.setenv(ADDRESS, shared_scheduler)
    (tmp_path / "died").touch()
    table = Workspace(str(tmp_path / "ws")).table("spread", "predictions")
    ahead: list[int] = []
    read = written = 0

    def counted() -> Iterator[pd.DataFrame]:
        nonlocal read
        for chunk in chunks():
            read += 1
            yield chunk

    def before_write() -> None:
        nonlocal written
        ahead.append(read - written)
        written += 1

    with workers() as spread:
        score_window(
            scorer(tmp_path), counted(), table, ScoringBatch(Window(until=LATER)), spread=spread, confirm=before_write
        )

    assert max(ahead) == 4  # two for each of the two workers
    assert written == ROWS // AT_ONCE


def test_a_batch_that_workers_stage_and_check_is_that_of_one_process(
    shared_scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns that show their kind in a later part only, faults, duplicates, and a check of a whole column.

    A worker is killed while it stages, and one while it checks.
    """
    monkeypatch.setenv(RUNNER, "dask")
    monkeypatch.setenv(ADDRESS, shared_scheduler)
    monkeypatch.setattr("everfit.tasks.sources.files.in_chunks", small_tables)
    monkeypatch.setattr("everfit.tasks.data.stager.rows_at_once", lambda columns: 100)
    suite = [
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "code"}},
        {"type": "expect_column_max_to_be_between", "kwargs": {"column": "code", "min_value": 749, "max_value": 749}},
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "max_value": 100}},
        {
            "type": "expect_column_values_to_be_in_set",
            "kwargs": {"column": "shop", "value_set": ["north"], "mostly": 0.4},
        },
    ]
    rows = sales(750).assign(code=range(750), zip=[f"{number:05d}" if number > 600 else "" for number in range(750)])
    rows["price"] = rows["price"].astype(object)
    rows.loc[[0, 310], "price"], rows.loc[305, "price"], rows.loc[330, "code"] = 1_000.0, "dear", 12
    found = []
    with workers() as spread:
        for name, chosen in (("spread", Killing(spread, shared_scheduler)), ("here", in_turn)):
            loop = Loop(tmp_path / name, expectations={"suite": suite})
            loop.folder.mkdir()
            loop.write("a.csv", pd.concat([rows, rows.tail(20)]))
            batch, validation = loop.turn(LATER, spread=chosen)
            found.append((batch, validation, loop.dataset(), loop.quarantine().drop(columns="_source")))

    assert len(found[0][0].sizes) == 8
    assert (found[0][1].quarantined, found[0][0].duplicates) == (5, 20)
    assert found[0][:2] == found[1][:2]
    pd.testing.assert_frame_equal(found[0][2], found[1][2])
    pd.testing.assert_frame_equal(*(each[3].sort_values("_row", ignore_index=True) for each in found))


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNNER, "dask")
    monkeypatch.setenv(ADDRESS, "tcp://127.0.0.1:1")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(EverfitError, match=r"scheduler tcp://127\.0\.0\.1:1 does not answer"),
        workers() as spread,
    ):
        list(spread(pow, 2, [1, 2]))


@pytest.fixture
def lonely_scheduler() -> Iterator[str]:
    """A scheduler that has no worker."""
    import distributed

    with distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def test_work_without_any_worker_ends_with_one_sentence(lonely_scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNNER, "dask")
    monkeypatch.setenv(ADDRESS, lonely_scheduler)
    all_gone = pytest.raises(WorkersError, match=r"are gone: it has had no worker for \d s; nothing is lost")
    with dask.config.set({"distributed.scheduler.no-workers-timeout": "300ms"}):
        with all_gone, workers() as spread:
            list(spread(pow, 2, [1, 2]))
        with all_gone, executor(1) as there:
            there.submit(pow, 2, 3).result()
