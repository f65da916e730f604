"""Requests that wait together are predicted together, in one thread; what nobody waits for any more is left out."""

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from everfit.infra.serving.batching import Batcher, Job, ScoredRequest
from everfit.infra.serving.spool import Spool
from everfit.tasks.scoring.scores import Scores


class Slow:
    """A model that waits until it is let go, and remembers what it was asked and by how many threads it could."""

    def __init__(self) -> None:
        self.go, self.asked = threading.Event(), list[list[float]]()
        self.threads: list[int] = []

    def score_columns(self, columns: dict[str, list[float]]) -> Scores:
        from threadpoolctl import threadpool_info

        self.threads += [pool["num_threads"] for pool in threadpool_info()]
        self.go.wait(10)
        self.asked.append(list(columns["x"]))
        values = np.asarray(columns["x"])
        return Scores(values, values, None)

    def outlier_scores(self, _: Any, rows: int) -> list[None]:
        return [None] * rows


def test_a_request_that_was_given_up_is_neither_predicted_nor_logged(tmp_path: Path) -> None:
    model, spool = Slow(), Spool.claim(tmp_path / "spool")
    kinds = {"x": "double", "_prediction_id": "string"}
    servable: Any = SimpleNamespace(scorer=model, kinds=kinds, version=SimpleNamespace(version=1, model="m"))
    batcher = Batcher(spool)
    batcher.start()

    async def ask() -> list[ScoredRequest]:
        loop = asyncio.get_running_loop()
        jobs = [Job(servable, {"x": [float(one)]}, {}, 1, "c", future=loop.create_future()) for one in range(4)]
        batcher.put(jobs[0])
        await loop.run_in_executor(
            None, lambda: [None for _ in range(1000) if not model.threads and threading.Event().wait(0.01)]
        )
        for job in jobs[1:]:
            batcher.put(job)
        assert jobs[2].future is not None
        jobs[2].future.cancel()
        model.go.set()
        return [await job.future for job in jobs if job.future is not None and not job.future.cancelled()]

    answers = asyncio.run(ask())
    batcher.stop()

    assert model.asked == [[0.0], [1.0, 3.0]]
    assert [answer.scores.values[answer.start] for answer in answers] == [0.0, 1.0, 3.0]
    assert batcher.waiting == 0
    spool.seal()
    (number,) = spool.sealed()
    assert [batch["x"] for batch in spool.read(number).batches] == [[0.0], [1.0, 3.0]]
    assert set(model.threads) == {1}
    spool.close()
