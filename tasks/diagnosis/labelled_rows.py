"""The evidence of a diagnosis: labelled rows of the reference and of the window, with the loss of each answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError, NotEnoughError
from everfit.blocks.metrics import METRICS, Reads, TaskKind
from everfit.tasks.core.loss_diagnosis import RowLoss
from everfit.tasks.statistics.day_errors import dependent_error, mean_error_by_days

Floats = npt.NDArray[np.float64]

MOST_ROWS = 5_000
"""Rows of either side that are looked at; of more rows, a sample. This bounds the time to some seconds."""
_MANY_COLUMNS_ROWS, _MOST_VALUES = 2_000, 400_000
"""With many columns there are fewer rows, so that there are not more values than this; at least the first number."""
LEAST_ROWS = 100
"""Fewer labelled rows on either side tell nothing."""

_BY_METRIC: dict[str, RowLoss] = {"log_loss": "log_loss", "mape": "relative_error"}
_BY_READS: dict[Reads, RowLoss] = {"class": "error", "median": "absolute_error"}
_LEAST_PROBABILITY = 1e-3
"""One sure answer that is wrong must not outweigh thousands of rows."""


@dataclass(frozen=True)
class LabelledRows:
    """Labelled rows with the loss of their answers.

    Attributes:
        rows: Features and protected columns, shape (n, columns).
        losses: The losses of the answers, shape (n,); greater is worse.
        days: The day of each row, shape (n,); None if rows have no times.
        entities: The entity of each row, such as the customer, shape (n,); None if that is not known.
        weights: The weights of the rows, shape (n,), such as the inverse of the probability of a label; None if all
            count 1.
        truth: Labels as numbers, shape (n,); None if remedies are not looked for.
        scores: The answers, shape (n,) or (n, classes); None if remedies are not looked for.
    """

    rows: pd.DataFrame
    losses: Floats
    days: npt.NDArray[np.int64] | None = None
    entities: npt.NDArray[np.int64] | None = None
    weights: Floats | None = None
    truth: Floats | None = None
    scores: Floats | None = None

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def counted(self) -> Floats:
        """The weights, which sum up to 1; shape (n,)."""
        weights = np.ones(len(self)) if self.weights is None else self.weights
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def of(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "LabelledRows":
        """Return some of the rows."""
        return replace(
            self,
            rows=self.rows.iloc[np.arange(len(self))[chosen]].reset_index(drop=True),
            losses=self.losses[chosen],
            days=None if self.days is None else self.days[chosen],
            entities=None if self.entities is None else self.entities[chosen],
            weights=None if self.weights is None else self.weights[chosen],
            truth=None if self.truth is None else self.truth[chosen],
            scores=None if self.scores is None else self.scores[chosen],
        )

    def mean_error(self, influence: Floats) -> float:
        """Return the standard error of an estimate from the influence of each row on it.

        Rows of a day, or of an entity, count as a whole where they depend on each other.

        Args:
            influence: By how much each row moves the estimate, times the number of rows; shape (n,).
        """
        if len(influence) < 2:
            return 0.0
        error = float(influence.std(ddof=1) / np.sqrt(len(influence)))
        if self.days is not None:
            error = dependent_error(error, mean_error_by_days(influence, self.days))
        if self.entities is not None:
            error = max(error, mean_error_by_days(influence, self.entities) or 0.0)
        return error

    def sampled(self, most: int, seed: int) -> "LabelledRows":
        """Return at most this many rows, drawn by a seed, in their order."""
        if len(self) <= most:
            return self
        return self.of(np.sort(np.random.default_rng(seed).choice(len(self), size=most, replace=False)))


@dataclass(frozen=True)
class DiagnosisEvidence:
    """The evidence of a diagnosis.

    Attributes:
        reference: Labelled rows of the champion's hold-out.
        window: Labelled rows that the champion answered in the window.
        columns: The columns to look at: those that the model reads, but for texts.
        texts: The columns of free text.
        row_loss: The loss of a row.
        reference_rows: Number of labelled rows of the hold-out, before sampling.
        window_rows: Number of labelled rows of the window, before sampling.
        unused: Columns of the window's rows that the model does not read, such as ignored and newly arrived ones.
    """

    reference: LabelledRows
    window: LabelledRows
    columns: tuple[str, ...]
    texts: tuple[str, ...] = ()
    row_loss: RowLoss = "squared_error"
    reference_rows: int = 0
    window_rows: int = 0
    unused: tuple[str, ...] = ()

    @classmethod
    def sampled(
        cls,
        reference: LabelledRows,
        window: LabelledRows,
        columns: Sequence[str],
        *,
        texts: Sequence[str] = (),
        unused: Sequence[str] = (),
        row_loss: RowLoss = "squared_error",
        most: int = MOST_ROWS,
        seed: int = 0,
    ) -> "DiagnosisEvidence":
        """Draw a sample of either side.

        Args:
            reference: Labelled rows of the hold-out.
            window: Labelled rows of the window.
            columns: The columns to look at; those that either side lacks are left out.
            texts: Those of them with free text.
            unused: Columns of the window's rows that the model does not read.
            row_loss: The loss of a row.
            most: Rows of either side at most; fewer if there are many columns.
            seed: The seed of the draw.

        Raises:
            NotEnoughError: One side has too few rows.
            DataError: There is no column to look at, or a loss is no number.
        """
        for side, name in ((reference, "the hold-out"), (window, "the window")):
            if len(side) < LEAST_ROWS:
                raise NotEnoughError(
                    f"{len(side):,} labelled rows of {name} are too few for a diagnosis; it needs {LEAST_ROWS:,}"
                )
            if not np.isfinite(side.losses).all():
                raise DataError(f"a row of {name} has a loss that is no number; check its label and its prediction")
        shared = [name for name in columns if name in reference.rows and name in window.rows]
        if not shared:
            raise DataError(f"neither side shows any of the columns {list(columns)!r}; they are needed to find a cause")
        most = min(most, max(_MANY_COLUMNS_ROWS, _MOST_VALUES // len(shared)))
        return cls(
            reference.sampled(most, seed),
            window.sampled(most, seed + 1),
            tuple(name for name in shared if name not in texts),
            tuple(name for name in shared if name in texts),
            row_loss,
            len(reference),
            len(window),
            tuple(unused),
        )


def row_loss_of(metric: str, task: TaskKind) -> RowLoss:
    """Return the loss of a row that comes next to a metric: a metric such as the AUC has no value for one row.

    Args:
        metric: The primary metric.
        task: The kind of prediction.
    """
    if metric in _BY_METRIC:
        return _BY_METRIC[metric]
    usual: RowLoss = "squared_error" if task == "regression" else "brier"
    facts = METRICS.get(metric)
    return usual if facts is None or facts.reads is None else _BY_READS.get(facts.reads, usual)


def row_losses(truth: npt.ArrayLike, scores: npt.ArrayLike, loss: RowLoss) -> Floats:
    """Return the loss of each row, shape (n,).

    Args:
        truth: Labels: 0 and 1, the position of the class, or the value; shape (n,).
        scores: The probability of the second class, shape (n,), of each class, shape (n, classes), or the value.
        loss: The loss of a row.
    """
    y, values = np.asarray(truth, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if loss in {"squared_error", "absolute_error", "relative_error"}:
        apart = np.abs(values - y)
        if loss == "squared_error":
            return np.square(apart)
        return apart if loss == "absolute_error" else apart / np.maximum(np.abs(y), np.finfo(np.float64).eps)
    if values.ndim == 1:
        values = np.column_stack([1 - values, values])
    true = values[np.arange(len(y)), y.astype(np.int64)]
    if loss == "log_loss":
        return np.asarray(-np.log(np.clip(true, _LEAST_PROBABILITY, 1)), dtype=np.float64)
    if loss == "error":
        wrong = values.argmax(axis=1) != y if values.shape[1] > 2 else (values[:, 1] >= 0.5) != y
        return np.asarray(wrong, dtype=np.float64)
    return np.asarray((np.square(values).sum(axis=1) - 2 * true + 1) / 2, dtype=np.float64)
