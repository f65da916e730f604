"""Columns of free text: whether the model should learn from their words, by a quick try on validation rows."""

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.metrics import TaskKind
from everfit.tasks.training.pipelines import build_pipeline

_ROWS = 3_000
"""Newest labelled rows that are tried on, which takes about a second for each column."""
_FEWEST_ROWS = 150
_VALIDATION = 1 / 3
_CERTAIN = 2.0
_SMALLEST_GAIN = 0.01
"""Share of the loss that the words must save."""
MOST_COLUMNS = 5
"""Columns that are tried."""


@dataclass(frozen=True)
class TextTrial:
    """The outcome of a try.

    Attributes:
        helps: Whether the words help.
        reason: Why, with the figures.
    """

    helps: bool
    reason: str


def try_text(
    frame: pd.DataFrame, name: str, features: list[str], target: str, task: TaskKind, *, time: str | None
) -> TextTrial:
    """Compare a linear model with a column's words and one without them on later rows.

    Args:
        frame: Rows of the data; shape (rows, columns).
        name: The column of free text.
        features: The other features.
        target: The column to predict.
        task: The kind of prediction.
        time: The column of the event time; by default the rows are in the order of the data.
    """
    rows = frame[frame[target].notna()]
    rows = (rows if time is None else rows.sort_values(time, kind="stable")).tail(_ROWS).reset_index(drop=True)
    if len(rows) < _FEWEST_ROWS:
        return TextTrial(False, f"free text; {len(rows):,} labelled rows are too few to try whether its words help")
    fitted = int(len(rows) * (1 - _VALIDATION))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a model of few rows may not converge
            without, within = (
                _losses(rows, [*features, *texts], target, task, fitted=fitted, texts=texts) for texts in ([], [name])
            )
    except ValueError as error:  # of scikit-learn, such as a class that the first rows don't have
        return TextTrial(False, f"free text; its words could not be tried: {str(error).splitlines()[0][:80]}")
    saved = without - within
    deviation = float(saved.std(ddof=1) / np.sqrt(len(saved)))
    before, after = float(without.mean()), float(within.mean())
    helps = saved.mean() > _CERTAIN * deviation and saved.mean() >= _SMALLEST_GAIN * before
    loss = "squared error" if task == "regression" else "log loss"
    figures = f"{loss} {before:.3g} without and {after:.3g} with them on {len(saved):,} validation rows"
    return TextTrial(bool(helps), f"free text; its words {'help' if helps else 'did not help'}: {figures}")


def _losses(
    rows: pd.DataFrame, features: list[str], target: str, task: TaskKind, *, fitted: int, texts: list[str]
) -> npt.NDArray[np.float64]:
    """Return the loss of each validation row, shape (rows,)."""
    inputs = rows[features] if features else pd.DataFrame({"": np.zeros(len(rows))})
    labels = rows[target].astype("float64") if task == "regression" else rows[target].astype(str)
    candidate = "ridge" if task == "regression" else "logistic_regression"
    model = build_pipeline(candidate, task, inputs, 0, prose=texts)
    model.fit(inputs.iloc[:fitted], labels.iloc[:fitted])
    truth = labels.iloc[fitted:]
    if task == "regression":
        squared: npt.NDArray[np.float64] = (model.predict(inputs.iloc[fitted:]) - truth.to_numpy()) ** 2
        return squared
    probabilities = model.predict_proba(inputs.iloc[fitted:])
    places = {value: place for place, value in enumerate(model.classes_.tolist())}
    there = truth.map(places)
    likely = np.array(
        [0.0 if pd.isna(place) else row[int(place)] for row, place in zip(probabilities, there, strict=True)]
    )
    losses: npt.NDArray[np.float64] = -np.log(np.clip(likely, 1e-4, 1))
    return losses
