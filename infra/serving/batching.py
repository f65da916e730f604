"""Predict waiting requests together in micro-batches, and log them before they are answered.

One thread predicts. While it is busy requests accumulate, and the next batch takes them all; if it is idle, a request
starts at once. So there is no delay to tune: the load determines the batches.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from everfit.blocks.errors import EverfitError
from everfit.infra.serving.servable import Servable
from everfit.infra.serving.spool import Spool, SpoolError
from everfit.tasks.predictions import prediction_ids, prediction_log
from everfit.tasks.predictions.prediction_log import Arm
from everfit.tasks.scoring.certainty import UNASKED, Certainty, CertaintyRules
from everfit.tasks.scoring.scores import Scores

logger = logging.getLogger(__name__)

_MANY = 32
"""Rows from which arrays save more than they cost."""


class OverloadedError(EverfitError):
    """Too many rows are waiting for their prediction."""


class UnpredictableInputError(EverfitError):
    """The model fails on an input that fits its schema, and works on others."""


@dataclass(frozen=True)
class ScoredRequest:
    """The predictions of one request, already in the spool.

    Attributes:
        servable: The version that predicted.
        ids: Ids of the predictions.
        scores: Scores of the whole micro-batch.
        start: First row of the request in `scores`.
        stop: One past its last row.
        outliers: How unlike the training data each row of `scores` is; None without a detector.
        certainty: How sure each row of `scores` is.
    """

    servable: Servable
    ids: Sequence[str]
    scores: Scores
    start: int
    stop: int
    outliers: Sequence[float | None]
    certainty: Certainty = UNASKED


@dataclass(eq=False)
class Job:
    """A checked request.

    Attributes:
        servable: The version whose schema checked it, which therefore predicts.
        columns: The features.
        logged: Columns of the log that aren't features: key and event time.
        rows: Number of rows.
        client: The client.
        arm: Arm of the prediction.
        flag: Suspicion about the client, for the log.
        future: Future that gets the `ScoredRequest`.
        arrived: Time of arrival on the clock of `time.perf_counter`.
    """

    servable: Servable
    columns: Mapping[str, list[Any]]
    logged: Mapping[str, list[Any]]
    rows: int
    client: str
    arm: Arm = "champion"
    flag: str | None = None
    future: "asyncio.Future[ScoredRequest] | None" = None
    arrived: float = field(default_factory=time.perf_counter)


class Batcher:
    """Predicts jobs in one thread.

    Args:
        spool: Spool for the predictions.
        max_waiting: Maximum number of waiting rows.
        max_batch: Maximum number of rows that are predicted together.
        outlier_above: Outlier score above which a row is counted as flagged.
        certainty: Rules for saying how sure the answers are; by default nothing is said.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        max_waiting: int = 50_000,
        max_batch: int = 1_024,
        outlier_above: float = 1.0,
        certainty: CertaintyRules | None = None,
    ) -> None:
        self._spool, self._max_waiting, self._max_batch = spool, max_waiting, max_batch
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._outlier_above = outlier_above
        self._certainty = certainty or CertaintyRules()
        self._limited_for: Servable | None = None
        self.outliers = 0
        self.abstained = 0
        self.batches = 0
        self.rows = 0
        self._started = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Predict from now on; the thread starts with the first job."""
        with self._lock:
            self._started = True
            if self._waiting:
                self._need_thread()

    def stop(self) -> None:
        """Predict all waiting jobs, and end."""
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join(30)

    def _need_thread(self) -> None:
        if self._started and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="everfit-predict", daemon=True)
            self._thread.start()

    @property
    def waiting(self) -> int:
        """Return the number of rows that wait or are being predicted."""
        return self._waiting

    def put(self, job: Job) -> None:
        """Queue a job.

        Raises:
            OverloadedError: If too many rows are waiting.
        """
        with self._lock:
            if self._waiting and self._waiting + job.rows > self._max_waiting:
                raise OverloadedError(f"{self._waiting} rows are waiting for their prediction; retry in a moment")
            self._waiting += job.rows
            self._need_thread()
        self._jobs.put(job)

    def _run(self) -> None:
        ended = False
        while not ended:
            batch, ended = self._gather()
            groups: dict[tuple[int, Arm], list[Job]] = {}
            for job in batch:
                if job.future is not None and job.future.done():
                    continue  # the client has gone, so there is no response, and it must not be logged as one
                groups.setdefault((id(job.servable), job.arm), []).append(job)
            for jobs in groups.values():
                self._answer(jobs)
            with self._lock:
                self._waiting -= sum(job.rows for job in batch)

    def _gather(self) -> tuple[list[Job], bool]:
        job = self._jobs.get()
        batch: list[Job] = []
        rows = 0
        while job is not None:
            batch.append(job)
            rows += job.rows
            if rows >= self._max_batch:
                return batch, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _answer(self, jobs: list[Job]) -> None:
        try:
            answers = self._predict(jobs)
        except Exception as error:  # noqa: BLE001 - a model may raise anything, and each request needs a response
            if len(jobs) > 1 and not isinstance(error, SpoolError):
                for job in jobs:  # a single job may make the whole batch fail
                    self._answer([job])
                return
            _resolve([(jobs[position], None, _blame(error)) for position in range(len(jobs))])
            return
        _resolve([(job, answer, None) for job, answer in zip(jobs, answers, strict=True)])

    def _one_thread(self, servable: Servable) -> None:
        """Limit the model's libraries to this thread.

        A tree ensemble's threads synchronise after every tree. For the few rows of a request that costs more than it
        saves, and a hundred times more on busy cores. The limit applies to this thread alone.
        """
        from threadpoolctl import threadpool_limits

        if self._limited_for is not servable:
            threadpool_limits(limits=1)
            self._limited_for = servable

    def _predict(self, jobs: list[Job]) -> list[ScoredRequest]:
        servable, began = jobs[0].servable, time.perf_counter()
        self._one_thread(servable)
        rows = sum(job.rows for job in jobs)
        columns: dict[str, Sequence[Any]] = {**_joined([job.columns for job in jobs])}
        if rows >= _MANY:
            columns = servable.inputs.in_arrays(columns)
        scores = servable.scorer.score_columns(columns)
        outliers = servable.scorer.outlier_scores(columns, rows)
        certainty = self._certainty.of(scores, servable.version.version)
        now = time.time()
        ids = prediction_ids.new_ids(int(now * 1000), rows)
        ended = time.perf_counter()
        columns |= _joined([job.logged for job in jobs])
        columns |= scores.columns()
        columns |= certainty.columns()
        columns[prediction_log.PREDICTION_ID] = ids
        columns[prediction_log.PREDICTED_AT] = [int(now * 1_000) * 1_000] * rows
        columns[prediction_log.MODEL_VERSION] = [servable.version.version] * rows
        columns[prediction_log.ARM] = [jobs[0].arm] * rows
        columns[prediction_log.LATENCY] = _for_rows(
            # A shadow waits for everything else, so its latency is that of the prediction alone.
            (job, round((ended - (began if job.arm == "shadow" else job.arrived)) * 1e3, 3))
            for job in jobs
        )
        columns[prediction_log.OUTLIER] = outliers
        columns[prediction_log.CLIENT] = _for_rows((job, job.client) for job in jobs)
        columns[prediction_log.FLAG] = _for_rows((job, job.flag) for job in jobs)
        self._spool.append(servable.kinds, columns)
        self.batches += 1
        self.rows += rows
        self.abstained += sum(certainty.abstained or ())
        self.outliers += sum(map(self._outlier_above.__lt__, [one for one in outliers if one is not None]))
        answers, start = [], 0
        for job in jobs:
            answers.append(ScoredRequest(servable, ids, scores, start, start + job.rows, outliers, certainty))
            start += job.rows
        return answers


def _joined(parts: Sequence[Mapping[str, list[Any]]]) -> Mapping[str, list[Any]]:
    """Return the columns of several requests one behind the other; those of one as they are."""
    if len(parts) == 1:
        return parts[0]
    return {name: list(chain.from_iterable(part[name] for part in parts)) for name in parts[0]}


def _for_rows(values: Iterable[tuple[Job, Any]]) -> list[Any]:
    """Return the value of each job for each of its rows."""
    return [one for job, value in values for one in [value] * job.rows]


def _blame(error: Exception) -> Exception:
    if isinstance(error, EverfitError):
        return error
    # Don't show the error's text, because it may quote feature values.
    logger.error("the model fails on an input that fits its schema: %s", type(error).__name__)
    return UnpredictableInputError(f"the model can't predict on this input ({type(error).__name__})")


def _resolve(results: list[tuple[Job, ScoredRequest | None, Exception | None]]) -> None:
    """Hand results over to the event loop in a single call."""
    waiting = [(job.future, answer, error) for job, answer, error in results if job.future is not None]
    if not waiting:
        return

    def set_all() -> None:
        for future, answer, error in waiting:
            if future.done():  # the client has disconnected
                continue
            if error is not None:
                future.set_exception(error)
            elif answer is not None:
                future.set_result(answer)

    loop = waiting[0][0].get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(set_all)
