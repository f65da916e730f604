"""Candidates are tried on the workers of a Dask scheduler, to the same result as in threads."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.training import a_spec, data_of, rows_of

from everfit.blocks.errors import EverfitError
from everfit.tasks.runners import ADDRESS, RUNNER, task_runner

pytest.importorskip("prefect_dask")


@pytest.fixture
def scheduler() -> Iterator[str]:
    """A scheduler and two worker processes."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_workers_find_what_threads_find(
    scheduler: str, prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import flow
    from prefect.task_runners import TaskRunner

    from everfit.tasks.learning.train import Trial
    from everfit.tasks.steps import training as steps

    data = data_of(a_spec(training={"search": {"trials": 2}}), rows_of(rows=200), tmp_path)

    def tried(runner: TaskRunner) -> list[Trial]:  # type: ignore[type-arg]
        @flow(task_runner=runner)
        def both() -> list[Trial]:
            names = ("logistic_regression", "random_forest")
            return [each.result() for each in [steps.try_candidate.submit(data, name) for name in names]]

        return both()

    in_threads = tried(task_runner())
    monkeypatch.setenv(RUNNER, "dask")
    monkeypatch.setenv(ADDRESS, scheduler)
    on_workers = tried(task_runner())

    def facts(trials: list[Trial]) -> list[object]:
        return [(each.candidate, each.score, each.setting, [t.score for t in each.tries]) for each in trials]

    assert facts(on_workers) == facts(in_threads)
    assert all(each.error == "" for each in on_workers)


def test_an_unknown_runner_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNNER, "ray")
    with pytest.raises(EverfitError, match="allowed: threads, dask"):
        task_runner()
