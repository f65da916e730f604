"""Fit a booster by its own Dask trainer: each worker reads its part of the rows from the dataset itself.

The result is the booster's ordinary estimator, so whatever is done with a model is done with this one. A worker has one
part, which depends on the number of workers alone, so the same rows and number of workers give the same model.
"""

import logging
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import EverfitError, NotEnoughError, TrainingError
from everfit.blocks.training import DASK_TRAINERS
from everfit.tasks.core.cluster import RUNNER, chosen_runner, dask_client
from everfit.tasks.core.cores import usable_cores
from everfit.tasks.core.extensions import load_extension
from everfit.tasks.core.records import Window
from everfit.tasks.data.row_chunks import training_chunks
from everfit.tasks.data.split import TrainingData
from everfit.tasks.statistics.scores import target_values
from everfit.tasks.storage.tables import KEY

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.pipeline import Pipeline

logger = logging.getLogger("everfit.training")

_ATTEMPTS = 3
_LOOK_SECONDS = 0.5
"""Seconds between two checks whether the workers are alive."""
_NOTICE_SECONDS = 5.0
"""Seconds in which the scheduler notices that a worker is gone, after the others failed for want of it."""
_RETURN_SECONDS = 60.0
"""Seconds in which a worker that was lost may come back."""


class WorkerRows(NamedTuple):
    """The rows of one worker, as the estimator sees them.

    Attributes:
        features: Shape (rows, features).
        target: Shape (rows,).
        weights: Shape (rows,); None for equal weights.
    """

    features: npt.NDArray[np.float64]
    target: npt.NDArray[Any]
    weights: npt.NDArray[np.float64] | None


class WorkerLostError(Exception):
    """A worker was gone before the model was fitted.

    Args:
        message: Words for the log.
        others: Addresses of the workers that took part beside it.
    """

    def __init__(self, message: str, others: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.others = others


def needs_workers(candidate: str) -> bool:
    """Whether a candidate is fitted on the workers of a Dask scheduler."""
    return candidate in DASK_TRAINERS


def no_workers(candidate: str) -> str:
    """Return why a candidate that needs workers can't be fitted here, if the environment names none; else ""."""
    if not needs_workers(candidate) or chosen_runner() != "threads":
        return ""
    return f"it is fitted by the workers of a Dask scheduler: set {RUNNER}=dask, or use {DASK_TRAINERS[candidate][0]}"


class WorkerFit:
    """A fit of one candidate on the rows of a window.

    Attributes:
        rows: Number of rows that the last model was fitted on.
        workers: Number of workers that fitted it.
    """

    def __init__(self, data: TrainingData, candidate: str, window: Window) -> None:
        self._data, self._candidate, self._window = data, candidate, window
        self.rows = self.workers = 0

    def __call__(self, estimator: "BaseEstimator", columns: "Pipeline", until: datetime | None) -> "BaseEstimator":
        """Fit an estimator, as often as a worker is lost meanwhile; nothing of a lost attempt is used.

        Args:
            estimator: Ordinary estimator of the booster, not fitted, with its parameters.
            columns: The fitted steps before it.
            until: Time before which rows are fitted on; None for the whole window.

        Returns:
            The fitted ordinary estimator.

        Raises:
            TrainingError: Workers were lost in every attempt, or a class is too rare to be on each of them.
            EverfitError: The scheduler doesn't answer.
        """
        window = self._window if until is None else self._window.model_copy(update={"until": until})
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with dask_client(usable_cores()) as client:
                    return self._fit(client, estimator, columns, window)
            except WorkerLostError as lost:
                logger.warning("%s: %s (attempt %d of %d)", self._candidate, lost, attempt, _ATTEMPTS)
                _restart(lost.others)
        raise TrainingError(
            f"{self._candidate}: a worker was lost in each of {_ATTEMPTS} attempts, which happens to one that is out "
            f"of memory; nothing is half done, so add workers or memory and run the same command again"
        )

    def _fit(self, client: Any, estimator: "BaseEstimator", columns: "Pipeline", window: Window) -> "BaseEstimator":
        addresses = self._addresses(client)
        self.workers = len(addresses)

        def whole_fit() -> "BaseEstimator":
            parts = [
                client.submit(
                    read_worker_rows,
                    *(self._data, window, columns, number, len(addresses)),
                    workers=[address],
                    allow_other_workers=False,
                    pure=False,
                )
                for number, address in enumerate(addresses)
            ]
            return self._train(client, estimator, parts, addresses)

        return _watched(client, addresses, whole_fit)

    def _addresses(self, client: Any) -> list[str]:
        """Return the workers in the order in which XGBoost numbers them: sums of numbers depend on it.

        Raises:
            WorkerLostError: There are fewer than in the attempt before.
        """
        give_up = time.monotonic() + _RETURN_SECONDS
        while len(found := client.run_on_scheduler(_worker_names)) < max(1, self.workers):
            if time.monotonic() > give_up:
                raise WorkerLostError(f"of {max(1, self.workers)} workers {len(found)} are there")
            time.sleep(_LOOK_SECONDS)
        return [address for _, address in sorted((f"[xgboost.dask-{name}]:{at}", at) for at, name in found.items())]

    def _train(
        self, client: Any, estimator: "BaseEstimator", parts: Sequence[Any], addresses: Sequence[str]
    ) -> "BaseEstimator":
        import dask.array as da

        def each(function: Callable[..., Any], *arguments: Any) -> list[Any]:
            pinned = {"allow_other_workers": False, "pure": False}
            return [
                client.submit(function, part, *arguments, workers=[address], **pinned)
                for part, address in zip(parts, addresses, strict=True)
            ]

        classes = self._data.spec.task != "regression"
        described: list[tuple[int, int, str, tuple[Any, ...]]] = client.gather(each(_described, classes))
        self._check(described)
        self.rows = sum(rows for rows, *_ in described)

        def array(field: str) -> Any:
            shapes = [(rows, width) if field == "features" else (rows,) for rows, width, *_ in described]
            kinds = [kind if field == "target" else "float64" for _, _, kind, _ in described]
            made = [
                da.from_delayed(future, shape, kind)
                for future, shape, kind in zip(each(getattr, field), shapes, kinds, strict=True)
            ]
            return da.concatenate(made)

        features, target = array("features"), array("target")
        weights = None if self._data.spec.training.half_life is None else array("weights")
        parameters = estimator.get_params()
        parameters.pop("n_jobs", None)  # a worker's threads say it
        trainer = load_extension(self._candidate)
        if self._candidate.startswith("lightgbm"):
            client.who_has = _in_order(client.who_has)
            same = {"deterministic": True, "force_row_wise": True}
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Parameter n_jobs will be ignored")  # its own default
                model = trainer(**{**same, **parameters}, client=client)
                return model.fit(features, target, sample_weight=weights).to_local()
        model = trainer(**parameters)
        model.client = client
        model.fit(features, target, sample_weight=weights)
        estimator.load_model(bytearray(model.get_booster().save_raw("ubj")))
        return estimator

    def _check(self, described: Sequence[tuple[int, int, str, tuple[Any, ...]]]) -> None:
        """Refuse parts without rows, and for LightGBM, whose workers number classes by their own rows, other classes.

        Raises:
            TrainingError: A part can't be fitted on.
        """
        known = {each for *_, classes in described for each in classes}
        for rows, _, _, classes in described:
            if rows == 0 or (self._candidate.startswith("lightgbm") and set(classes) != known):
                missing = f"no row of {min(known - set(classes))!r}" if rows else "no row"
                raise TrainingError(
                    f"{self._candidate}: of {len(described)} workers one has {missing}; use fewer workers, or "
                    f"{DASK_TRAINERS[self._candidate][0]}"
                )


def read_worker_rows(data: TrainingData, window: Window, columns: "Pipeline", part: int, parts: int) -> WorkerRows:
    """Read a worker's part of the rows, as the estimator sees them, in the order of time and key.

    Args:
        data: Rows of the turn.
        window: Span of event time.
        columns: The fitted steps before the estimator.
        part: Number of the part, from 0 on.
        parts: How many parts there are.
    """
    spec, names = data.spec, data.spec.columns
    read: list[tuple[Any, ...]] = []
    for chunk in training_chunks(data, window, part, parts):
        seen = np.asarray(columns.transform(chunk[data.features]), dtype=np.float64)
        at = chunk[names.time].to_numpy("datetime64[ns]").astype(np.int64)
        read.append((seen, target_values(chunk[names.target], spec.task).to_numpy(), at, chunk[KEY].to_numpy()))
    if not read:
        raise NotEnoughError(f"{spec.name}: a worker has no row to fit on; use fewer workers")
    features, target, times, keys = (np.concatenate(values) for values in zip(*read, strict=True))
    read.clear()
    order = np.lexsort((keys, times))
    weights = None
    if (half_life := spec.training.half_life) is not None:
        end = int(window.until.timestamp() * 1e9)
        weights = 0.5 ** ((end - times[order]) / (half_life.total_seconds() * 1e9))
    return WorkerRows(features[order], target[order], weights)


def _described(part: WorkerRows, has_classes: bool) -> tuple[int, int, str, tuple[Any, ...]]:
    """Return rows, features, kind of the target, and its classes, if it has any."""
    classes = tuple(np.unique(part.target).tolist()) if has_classes else ()
    return len(part.target), part.features.shape[1], str(part.target.dtype), classes


def _worker_names(dask_scheduler: Any) -> dict[str, str]:
    return {address: str(worker.name) for address, worker in dask_scheduler.workers.items()}


def _restart(workers: Sequence[str]) -> None:
    """Restart the workers that took part beside a lost one: those of XGBoost would wait for it for minutes."""
    client: Any
    with dask_client(usable_cores()) as client:
        alive = [address for address in workers if address in client.nthreads()]
        client.restart_workers(alive, timeout=_RETURN_SECONDS, raise_for_error=False)


def _in_order(who_has: Callable[..., Any]) -> Callable[..., Any]:
    """Return a client's `who_has` whose answer is in the order of the question: LightGBM ranks its workers by it."""

    def ordered(futures: Sequence[Any]) -> dict[str, Any]:
        found = who_has(futures)
        return {future.key: found[future.key] for future in futures}

    return ordered


def _watched(client: Any, addresses: Sequence[str], fit: Callable[[], "BaseEstimator"]) -> "BaseEstimator":
    """Fit in a thread, and look meanwhile whether the workers are alive: those that wait for a lost one may not end.

    Raises:
        WorkerLostError: A worker is gone.
        EverfitError: The scheduler is gone.
    """
    from distributed.comm.core import CommClosedError

    fitted: list[BaseEstimator] = []
    problems: list[Exception] = []

    def run() -> None:
        try:
            fitted.append(fit())
        except Exception as problem:  # noqa: BLE001 - a trainer may raise anything
            problems.append(problem)

    thread = Thread(target=run, daemon=True)
    thread.start()
    noticed = float("inf")
    while not fitted:
        thread.join(_LOOK_SECONDS)
        try:
            gone = set(addresses) - set(client.nthreads())
        except (OSError, TimeoutError, CommClosedError) as error:
            raise EverfitError(
                f"the Dask scheduler is gone: {error}; nothing is half done, so run the same command again once it is "
                f"back"
            ) from error
        if gone:
            raise WorkerLostError(f"the worker {min(gone)} is gone", sorted(set(addresses) - gone))
        if problems:
            noticed = min(noticed, time.monotonic() + _NOTICE_SECONDS)
            if time.monotonic() > noticed:
                raise problems[0]
    return fitted[0]
