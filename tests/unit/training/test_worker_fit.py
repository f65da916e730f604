"""A fit on workers is repeated when a worker is lost, and ends with one sentence when that goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.training import a_spec, data_of, rows_of

from everfit.blocks.errors import TrainingError
from everfit.tasks.training import worker_fit
from everfit.tasks.training.worker_fit import WorkerFit, WorkerLostError

TRAINER = "lightgbm:DaskLGBMClassifier"


class Cluster:
    """A scheduler with two workers, of which one is lost in the first attempts."""

    def __init__(self, lost: int) -> None:
        self.lost, self.attempts, self.restarted = lost, 0, list[str]()

    def run_on_scheduler(self, _: Any) -> dict[str, str]:
        return {"tcp://b": "0", "tcp://a": "1"}

    def nthreads(self) -> dict[str, int]:
        return {"tcp://a": 1}

    def restart_workers(self, workers: list[str], **_: Any) -> None:
        self.restarted += workers

    def watch(self, _: Any, addresses: list[str], __: Any) -> str:
        assert addresses == ["tcp://b", "tcp://a"]  # by their names
        self.attempts += 1
        if self.attempts <= self.lost:
            raise WorkerLostError("the worker tcp://b is gone", ["tcp://a"])
        return "fitted"

    @contextmanager
    def client(self, _: int) -> "Iterator[Cluster]":
        yield self


def of_lost(lost: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Cluster, WorkerFit]:
    cluster = Cluster(lost)
    monkeypatch.setattr(worker_fit, "dask_client", cluster.client)
    monkeypatch.setattr(worker_fit, "_watched", cluster.watch)
    data = data_of(a_spec(training={"candidates": [TRAINER]}), rows_of(rows=50), folder)
    return cluster, WorkerFit(data, TRAINER, data.split.training)


def test_a_fit_is_repeated_with_the_others_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, fit = of_lost(2, tmp_path, monkeypatch)
    estimator: Any = SimpleNamespace()
    assert fit(estimator, estimator, None) == "fitted"
    assert (cluster.attempts, cluster.restarted, fit.workers) == (3, ["tcp://a", "tcp://a"], 2)


def test_a_worker_lost_in_each_attempt_ends_the_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, fit = of_lost(3, tmp_path, monkeypatch)
    estimator: Any = SimpleNamespace()
    with pytest.raises(TrainingError, match=r"a worker was lost in each of 3 attempts, .* nothing is half done"):
        fit(estimator, estimator, None)
    assert cluster.attempts == 3


def test_workers_that_do_not_come_back_end_the_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, fit = of_lost(0, tmp_path, monkeypatch)
    monkeypatch.setattr(worker_fit, "_RETURN_SECONDS", -1.0)
    fit.workers = 3  # there were so many in the attempt before
    estimator: Any = SimpleNamespace()
    with pytest.raises(TrainingError, match="nothing is half done"):
        fit(estimator, estimator, None)
