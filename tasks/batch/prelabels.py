"""The model's answer to queued rows and how sure it is, for files that people label by. Pure."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from everfit.blocks.metrics import TaskKind
from everfit.tasks.batch.label_requests import REVIEWED
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.label_files import SAYS, SURE
from everfit.tasks.predictions.label_sampling import ESTIMATE, RANDOM

_BLIND = {*REVIEWED, ESTIMATE, RANDOM}
"""Rows that quality is estimated by, and labels that are checked: there, an answer that people see would be echoed."""


def said_before(
    rows: pd.DataFrame, reasons: Sequence[str], task: TaskKind, classes: Sequence[str]
) -> dict[str, list[object]]:
    """Return the columns with the model's answer and how sure it is; both are empty for rows that don't show it.

    Args:
        rows: Rows of the log.
        reasons: Why each was picked.
        task: Kind of prediction.
        classes: The model's classes, as text; empty for a regression.

    Returns:
        The answer; and the probability that the model gives it, or for a number the half-width of its interval.
    """
    shown = [reason not in _BLIND for reason in reasons]
    sure = _sure(rows, task, classes)
    return {
        SAYS: [value if show else "" for value, show in zip(rows[prediction_log.PREDICTION], shown, strict=True)],
        SURE: [
            round(float(value), 4) if show and np.isfinite(value) else ""
            for value, show in zip(sure, shown, strict=True)
        ],
    }


def _sure(rows: pd.DataFrame, task: TaskKind, classes: Sequence[str]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    def of(name: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        if name not in rows:
            return np.full(len(rows), np.nan)
        return np.asarray(rows[name].to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)

    if task == "regression":
        return of(prediction_log.BOUND)
    if task == "multiclass" and prediction_log.PROBABILITIES in rows:
        return np.array([np.nan if one is None else np.max(one) for one in rows[prediction_log.PROBABILITIES]], float)
    score = of(prediction_log.SCORE)
    second = (rows[prediction_log.PREDICTION].astype(str) == (classes[1] if len(classes) > 1 else "1")).to_numpy()
    return np.where(second, score, 1 - score)
