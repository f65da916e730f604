"""Suspected leaks: a single column that tells the label too well to have been known beforehand."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.metrics import TaskKind
from everfit.tasks.statistics.scores import class_indices, labels

SUSPICIOUS = 0.98
"""From here on a column alone is suspected: of the ROC AUC of one class against the rest, or of R²."""

_BINS = 50
_MIN_ROWS = 100
_MAX_ROWS = 100_000
_FILLED_APART = 0.9
_MIN_WITHOUT_LABEL = 30


def suspected_leaks(features: pd.DataFrame, target: pd.Series, task: TaskKind) -> tuple[str, ...]:
    """Name the columns that alone predict the target suspiciously well.

    Each column is cut into bins (missing is one of them); the target's mean per bin, learned on every other row,
    is scored on the rows between. That sees any shape of dependence, and does not mistake an identifier for a leak.

    Args:
        features: Shape (rows, features).
        target: Shape (rows,).
        task: What is predicted.

    Returns:
        Names in the order of the columns; empty when there are too few rows to tell.
    """
    if len(features) < _MIN_ROWS:
        return ()
    outcomes = _outcomes(target, task)
    every = 1 + len(features) // _MAX_ROWS
    features, outcomes = features.iloc[::every], [outcome[::every] for outcome in outcomes]
    learned = np.arange(len(features)) % 2 == 0
    return tuple(
        str(name)
        for name in features.columns
        if any(_tells(_bins(features[name]), outcome, learned, task) >= SUSPICIOUS for outcome in outcomes)
    )


def filled_with_the_label(features: pd.DataFrame, labelled: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    """Name the columns that have a value when the label is known, and none before.

    Args:
        features: Shape (rows, features); rows without a label among them.
        labelled: Whether the label of a row is known; shape (rows,).

    Returns:
        Names in the order of the columns; empty when there are too few rows of either kind to tell.
    """
    if labelled.sum() < _MIN_ROWS or (~labelled).sum() < _MIN_WITHOUT_LABEL:
        return ()
    filled = features.notna()
    apart = filled[labelled].mean() - filled[~labelled].mean()
    return tuple(str(name) for name in features.columns if apart[name] >= _FILLED_APART)


def _outcomes(target: pd.Series, task: TaskKind) -> list[npt.NDArray[np.float64]]:
    if task == "regression":
        return [target.to_numpy(dtype=np.float64)]
    classes = sorted(labels(target, task).unique().tolist(), key=str)
    indices = class_indices(target, classes, task)
    positives = [1] if task == "binary" else range(len(classes))
    return [(indices == position).astype(np.float64) for position in positives]


def _bins(column: pd.Series) -> npt.NDArray[np.int64]:
    if pd.api.types.is_numeric_dtype(column.dtype) and column.nunique() > _BINS:
        edges = np.unique(np.nanquantile(column.to_numpy(dtype=np.float64), np.linspace(0, 1, _BINS + 1)[1:-1]))
        codes = np.searchsorted(edges, column.to_numpy(dtype=np.float64))
        return np.where(column.isna(), -1, codes).astype(np.int64)
    return np.asarray(pd.factorize(column)[0], dtype=np.int64)


def _tells(
    bins: npt.NDArray[np.int64], outcome: npt.NDArray[np.float64], learned: npt.NDArray[np.bool_], task: TaskKind
) -> float:
    """How well the bins alone tell the outcome: ROC AUC, or R² for a number; 0.0 where that is not defined."""
    from sklearn.metrics import r2_score, roc_auc_score

    truth = outcome[~learned]
    if np.ptp(truth) == 0 or np.ptp(outcome[learned]) == 0:
        return 0.0
    means = pd.Series(outcome[learned]).groupby(bins[learned]).mean()
    guesses = pd.Series(bins[~learned]).map(means).fillna(float(outcome[learned].mean())).to_numpy()
    return float(r2_score(truth, guesses) if task == "regression" else roc_auc_score(truth, guesses))
