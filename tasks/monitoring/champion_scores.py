"""A model's scores of rows of the prediction log."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.metrics import TaskKind
from everfit.tasks.scoring.scorer import Scorer


def champion_scores(scorer: Scorer, rows: pd.DataFrame, task: TaskKind) -> npt.NDArray[np.float64]:
    """Return a model's scores of rows of the log, shape (rows,), or (rows, classes) of a multiclass model.

    Args:
        scorer: The model.
        rows: Its features, shape (rows, features).
        task: The kind of prediction.
    """
    inputs = scorer.inputs.model_copy(update={"key": ()})
    names = [column.name for column in inputs.features]
    predictions = scorer.score(inputs.conform(rows[names])[names])
    if task == "multiclass":
        assert predictions.probabilities is not None  # noqa: S101 - only a regression gives none
        return predictions.probabilities
    assert predictions.score is not None  # noqa: S101 - anything else gives one
    return predictions.score
