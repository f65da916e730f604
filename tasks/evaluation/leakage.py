"""Suspected leaks: a single column that predicts the label too well to have been known before it."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.metrics import TaskKind
from everfit.tasks.statistics.scores import class_indices, target_values
from everfit.tasks.training.fit_costs import FEW_FEATURES

Floats = npt.NDArray[np.float64]

SUSPICIOUS = 0.98
"""From here on a column alone is suspected: of the ROC AUC of each class against the rest, or of R²."""

_EXACT, _MOST_PARTS = 0.99999, 6
"""The R² from which columns together give the target, and so many columns at most."""

_STEPS, _LEAST_IN_A_STEP = 50, 2
_MIN_ROWS = 100
_MAX_ROWS = 20_000
_WORTH, _FEWEST = 0.7, 50
"""A column with a lower ROC AUC or R² on a quarter of rows has never `SUSPICIOUS` on all, if each half of that quarter
has so many rows of each outcome. Those of .98 had .9 or more there, in simulations of nine kinds of leaks."""
_FILLED_APART = 0.9
_LARGEST = 1e30
"""Trees hold values as 32-bit floats, so larger ones are replaced by their ranks."""
_MIN_WITHOUT_LABEL = 30


def suspected_leaks(
    features: pd.DataFrame, target: pd.Series, task: TaskKind, *, suspicious: float = SUSPICIOUS
) -> tuple[str, ...]:
    """Name the columns that alone predict the target suspiciously well.

    The target's mean by steps of a column (or by category; missing is one of them), learned on every other row, is
    scored on the rows between, and the other way round: both must tell. That sees any shape of dependence, and does
    not mistake an identifier for a leak. With several classes it must tell each: a measure that sets one kind apart
    from all others is what nature is like. A column of categories that each have one class, such as a finer division of
    the target, is suspected too.

    Args:
        features: Shape (rows, features).
        target: Shape (rows,).
        task: The spec's task.
        suspicious: From this ROC AUC or R² on, a column is suspected.

    Returns:
        Names in the order of the columns; empty when there are too few rows to tell.
    """
    if len(features) < _MIN_ROWS:
        return ()
    outcomes = _outcomes(target, task)
    every = 1 + len(features) // _MAX_ROWS
    features, outcomes = features.iloc[::every], outcomes[::every]
    learned = np.arange(len(features)) % 2 == 0
    outcomes = outcomes[:, (np.ptp(outcomes[learned], axis=0) > 0) & (np.ptp(outcomes[~learned], axis=0) > 0)]
    if not outcomes.shape[1]:
        return ()
    return tuple(
        str(name)
        for name in _worth_a_test(features, outcomes, task, suspicious)
        if all(_tells(features[name], outcomes, half, task, suspicious) for half in (learned, ~learned))
    )


def _worth_a_test(features: pd.DataFrame, outcomes: Floats, task: TaskKind, suspicious: float) -> list[str]:
    """Return all columns, or where there are many, without those of numbers that tell little on a quarter of rows."""
    names = list(features.columns)
    drawn = np.arange(len(features)) // 2 % 4 == 0  # pairs, so that each half of them is drawn from
    learned = np.arange(int(drawn.sum())) % 2 == 0
    known = outcomes[drawn]
    rare = (
        0
        if task == "regression"
        else min(
            min(half.sum(axis=0).min(), (1 - half).sum(axis=0).min()) for half in (known[learned], known[~learned])
        )
    )
    if len(names) <= FEW_FEATURES or len(features) < _MAX_ROWS // 2 or (task != "regression" and rare < _FEWEST):
        return names
    few, bound = features[drawn], min(_WORTH, suspicious)
    numbers = set(features.select_dtypes(["number", "bool"]).columns)
    return [name for name in names if name not in numbers or _tells(few[name], known, learned, task, bound)]


def parts_of_the_target(features: pd.DataFrame, target: pd.Series, task: TaskKind) -> tuple[str, ...]:
    """Name the few columns of numbers that together give the target, such as the parts of a sum.

    Columns are taken one after the other, each the one that explains most of what is left, as in orthogonal matching
    pursuit. Weights that are learned on every other row must give the rows between.

    Args:
        features: Shape (rows, features).
        target: Shape (rows,).
        task: The spec's task; only numbers have parts.

    Returns:
        Names in the order of the columns; empty when no few columns give the target exactly.
    """
    if task != "regression" or len(features) < _MIN_ROWS:
        return ()
    every = 1 + len(features) // _MAX_ROWS
    numbers = features.select_dtypes(["number", "bool"]).iloc[::every].astype("float64")
    truth = target.to_numpy(dtype=np.float64)[::every]
    whole = np.isfinite(numbers.to_numpy()).all(axis=0)  # what is missing now and then is no part of a sum
    numbers = numbers.loc[:, whole & (numbers.abs().max() < _LARGEST).to_numpy()]
    spread = numbers.std()
    numbers = ((numbers - numbers.mean()) / spread).loc[:, spread > 0]
    values, left = numbers.to_numpy(), truth - truth.mean()
    learned = np.arange(len(values)) % 2 == 0
    taken: list[int] = []
    for _ in range(min(_MOST_PARTS, values.shape[1])):
        taken.append(int(np.abs(values[learned].T @ left[learned]).argmax()))
        chosen = np.column_stack([values[:, taken], np.ones(len(values))])
        weights = np.linalg.lstsq(chosen[learned], truth[learned], rcond=None)[0]
        left = truth - chosen @ weights
        if (left[~learned] ** 2).mean() <= (1 - _EXACT) * truth[~learned].var():
            return tuple(str(numbers.columns[place]) for place in sorted(set(taken)))
    return ()


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


def _outcomes(target: pd.Series, task: TaskKind) -> Floats:
    """Return the target as numbers, one column, or one for each class; shape (rows, outcomes)."""
    if task == "regression":
        return target.to_numpy(dtype=np.float64)[:, None]
    classes = sorted(target_values(target, task).unique().tolist(), key=str)
    indices = class_indices(target, classes, task)
    positives = [1] if task == "binary" else range(len(classes))
    return np.stack([indices == position for position in positives], axis=1).astype(np.float64)


def _guesses(column: pd.Series, outcomes: Floats, learned: npt.NDArray[np.bool_]) -> Floats:
    """Return the means of the outcomes that the column predicts for rows that were not learned from."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        from sklearn.tree import DecisionTreeRegressor

        values = column.to_numpy(dtype=np.float64, na_value=np.nan)[:, None]
        values = np.where(np.isfinite(values), values, np.nan)
        if np.nanmax(np.abs(values), initial=0) > _LARGEST:
            values = pd.Series(values[:, 0]).rank(method="dense").to_numpy()[:, None]
        tree = DecisionTreeRegressor(max_leaf_nodes=_STEPS, min_samples_leaf=_LEAST_IN_A_STEP, random_state=0)
        guesses: Floats = tree.fit(values[learned], outcomes[learned]).predict(values[~learned])
        return guesses.reshape(len(guesses), -1)
    codes = pd.factorize(column)[0]
    means = pd.DataFrame(outcomes[learned]).groupby(codes[learned]).mean()
    outcome_means = means.reindex(codes[~learned]).fillna(pd.Series(outcomes[learned].mean(axis=0)))
    return outcome_means.to_numpy(dtype=np.float64)


def _tells(
    column: pd.Series, outcomes: Floats, learned: npt.NDArray[np.bool_], task: TaskKind, suspicious: float
) -> bool:
    """Whether the column alone tells each outcome of the rows that weren't learned from, by ROC AUC or R²."""
    from sklearn.metrics import r2_score, roc_auc_score

    score = r2_score if task == "regression" else roc_auc_score
    guesses = _guesses(column, outcomes, learned)
    if task == "multiclass" and not pd.api.types.is_numeric_dtype(column.dtype):
        wrong = np.mean(guesses.argmax(axis=1) != outcomes[~learned].argmax(axis=1))
        usual = 1 - outcomes[~learned].mean(axis=0).max()
        if wrong <= (1 - suspicious) * usual:
            return True
    return all(score(truth, guess) >= suspicious for truth, guess in zip(outcomes[~learned].T, guesses.T, strict=True))
