"""Explanations: which features a model rests its answers on, over all rows and for those it got most wrong."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import DataError
from everfit.tasks.core.records import Record
from everfit.tasks.evaluation.influence import repeated_rows, spliced
from everfit.tasks.evaluation.scored_rows import ScoredRows
from everfit.tasks.statistics.metrics import metric

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

ROWS = 1_000
SHAP_ROWS = 150
WORST = 5
_REPEATS = 3
_ORDERS = 10
_TREES = ("sklearn.ensemble.", "sklearn.tree.", "lightgbm.", "xgboost.")

Floats = npt.NDArray[np.float64]


class RowExplanation(Record):
    """The features that moved one prediction."""

    row: int = Field(description="Position in the hold-out, in time order.")
    truth: float
    answer: float = Field(description="Score, probability of the true class, or value.")
    shap: dict[str, float] = Field(description="The largest contributions, by feature.")


class ShapValues(Record):
    """Contributions of the features to the answers."""

    method: Literal["linear", "tree", "sampled"] = Field(
        description="In the unit of the raw answer, log-odds of most classifiers; sampled: of the answer itself."
    )
    rows: int = Field(description="The number of rows of the seeded sample.")
    mean_absolute: dict[str, float]
    worst: tuple[RowExplanation, ...] = Field(description="The explanations of the rows whose answer was most wrong.")


def permutation_importance(scored: ScoredRows, chosen: str, seed: int, role: str = "challenger") -> dict[str, float]:
    """Return the loss of a metric when a feature's values are shuffled in a sample of the hold-out.

    L. Breiman, "Random Forests", Machine Learning 45 (2001). If there are many features, only those that move the
    answers most are measured.

    Args:
        scored: The hold-out.
        chosen: The metric's name.
        seed: The seed of the sample and the shuffling.
        role: The model that is asked.

    Returns:
        Mean loss over three shuffles, by feature, the largest first; empty when the sample doesn't define the metric.
    """
    random = np.random.default_rng(seed)
    sample = np.sort(random.permutation(len(scored.truth))[:ROWS])
    rows, truth = scored.rows.iloc[sample].reset_index(drop=True), scored.truth[sample]
    measured = metric(chosen, scored.task)
    try:
        base = measured.score(truth, scored.scores[role][sample])
    except DataError:
        return {}
    names = scored.influential(role, seed)
    changes = [(name, rows[name].iloc[random.permutation(len(rows))]) for name in names for _ in range(_REPEATS)]
    losses = [
        measured.gain(base, measured.score(truth, scores)) for scores in scored.scores_of_changes(role, rows, changes)
    ]
    importance = {
        name: float(np.mean(losses[place * _REPEATS : (place + 1) * _REPEATS])) for place, name in enumerate(names)
    }
    return dict(sorted(importance.items(), key=lambda item: -item[1]))


def shap_values(scored: ScoredRows, seed: int, role: str = "challenger") -> ShapValues:
    """SHAP values of a seeded sample and of the worst rows (S. Lundberg, S.-I. Lee, NeurIPS 2017).

    They are exact for a linear model, and computed by shap's TreeExplainer for trees. For any other model, and for
    trees that split on categories as such (which shap misreads), they are sampled for the features that move
    the answers most.

    Args:
        scored: The hold-out.
        seed: The seed of the sample.
        role: The model.
    """
    model = scored.models[role]
    sample = np.sort(np.random.default_rng(seed).permutation(len(scored.truth))[:SHAP_ROWS])
    wrong = np.argsort(-_wrongness(scored, role), kind="stable")[:WORST]
    chosen = np.concatenate([sample, wrong])
    features = scored.rows.iloc[chosen][list(model.feature_names_in_)].reset_index(drop=True)
    method: Literal["linear", "tree", "sampled"] = "linear" if hasattr(model.steps[-1][1], "coef_") else "tree"
    try:
        values = _by_feature(model, _contributions(model, features))
    except DataError:
        names, method = list(features.columns), "sampled"
        chosen_names = scored.influential(role, seed)
        values = sampled(
            lambda rows: scored.scores_of(role, rows), features, scored.rows[names], seed, chosen=chosen_names
        )
    mean = values.iloc[: len(sample)].abs().mean().sort_values(ascending=False)
    worst = []
    for place, row in enumerate(wrong, start=len(sample)):
        largest = values.iloc[place].sort_values(key=np.abs, ascending=False).head(5)
        worst.append(
            RowExplanation(
                row=int(row),
                truth=float(scored.truth[row]),
                answer=_answer(scored, role, int(row)),
                shap={str(name): float(value) for name, value in largest.items()},
            )
        )
    return ShapValues(
        method=method,
        rows=len(sample),
        mean_absolute={str(name): float(value) for name, value in mean.items()},
        worst=tuple(worst),
    )


def sampled(  # noqa: PLR0917
    ask: Callable[[pd.DataFrame], Floats],
    features: pd.DataFrame,
    others: pd.DataFrame,
    seed: int,
    orders: int = _ORDERS,
    chosen: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Shapley values by sampling orders of the features and other rows to take the other values from.

    E. Štrumbelj, I. Kononenko, "Explaining prediction models and individual predictions with feature contributions",
    Knowledge and Information Systems 41 (2014). With many classes, return the mean size of the contributions.

    Args:
        ask: Returns the model's scores of rows.
        features: The rows to explain; shape (rows, features).
        others: Rows to take the other values from; shape (any, features).
        seed: The seed of orders and rows.
        orders: How many.
        chosen: Features to explain; by default all. The others keep the values of the row that is explained.
    """
    random = np.random.default_rng(seed)
    names = [str(name) for name in features.columns] if chosen is None else list(chosen)
    total = np.zeros((len(features), len(names)))
    for _ in range(orders):
        order = random.permutation(len(names))
        other = others.iloc[random.integers(0, len(others), len(features))][names].reset_index(drop=True)
        # Step by step one more feature has its own value: the rows of all steps below each other, column by column.
        columns = {}
        for position, place in enumerate(order):
            name = names[place]
            own = np.arange(len(names) + 1) > position
            columns[name] = spliced([other[name], features[name]], own.astype(np.int64))
        scores = np.split(ask(repeated_rows(features, len(names) + 1, columns)), len(names) + 1)
        for place, before, after in zip(order, scores, scores[1:], strict=False):
            moved = after - before
            total[:, place] += np.abs(moved).mean(axis=1) if moved.ndim > 1 else moved
    return pd.DataFrame(total / orders, columns=names)


def _wrongness(scored: ScoredRows, role: str) -> Floats:
    scores = scored.scores[role]
    if scored.task == "multiclass":
        return 1 - scores[np.arange(len(scores)), scored.truth.astype(np.intp)]
    return np.abs(scores - scored.truth)


def _answer(scored: ScoredRows, role: str, row: int) -> float:
    score = scored.scores[role][row]
    return float(score[int(scored.truth[row])] if scored.task == "multiclass" else score)


def _contributions(model: "Pipeline", features: pd.DataFrame) -> Floats:
    """Shape (rows, transformed columns); of many classes the mean of their absolute values."""
    if len(model.steps) == 1:
        raise DataError("the model has no step of preprocessing, whose columns could be explained")
    inputs, estimator = model[:-1].transform(features), model.steps[-1][1]
    inputs = inputs.toarray() if hasattr(inputs, "toarray") else np.asarray(inputs)
    coefficients = getattr(estimator, "coef_", None)
    if coefficients is not None:
        # They are exact for a linear model: each coefficient times the distance from the mean.
        centred = inputs - inputs.mean(axis=0)
        by_class = centred[:, :, None] * np.atleast_2d(coefficients).T[None]
        return np.asarray(by_class[:, :, 0] if by_class.shape[2] == 1 else np.abs(by_class).mean(axis=2))
    return _tree_contributions(estimator, inputs)


def _tree_contributions(estimator: Any, inputs: Floats) -> Floats:
    import warnings

    name = type(estimator).__name__
    categories = getattr(estimator, "is_categorical_", None)
    if not type(estimator).__module__.startswith(_TREES) or (categories is not None and categories.any()):
        raise DataError(f"shap has no values for {name} with categories as such")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what shap itself calls
        import shap

        try:
            explainer = shap.TreeExplainer(estimator)
            values = np.asarray(explainer.shap_values(inputs, check_additivity=False), dtype=np.float64)
        except Exception as error:  # shap raises whatever it comes across in an estimator that it doesn't know
            raise DataError(f"shap has no values for {name}: {type(error).__name__}: {error}") from error
    raw = _raw_answers(estimator, inputs)
    total = values.sum(axis=1) + np.asarray(explainer.expected_value, dtype=np.float64)
    if raw.shape != total.shape and total.ndim == 2 and total.shape[1] == 2:
        raw = np.column_stack([1 - raw, raw])
    # With categories as such, shap's trees are not the model's: what does not add up is no explanation.
    if raw.shape != total.shape or not np.allclose(raw, total, atol=1e-3 * max(1.0, float(np.abs(raw).max()))):
        raise DataError(f"shap's values for {name} don't add up to its answers")
    if values.ndim == 3:
        return values[:, :, 1] if values.shape[2] == 2 else np.abs(values).mean(axis=2)
    return values


def _raw_answers(estimator: Any, inputs: Floats) -> Floats:
    for method in ("decision_function", "predict_proba", "predict"):
        if hasattr(estimator, method):
            return np.asarray(getattr(estimator, method)(inputs), dtype=np.float64)
    raise DataError(f"{type(estimator).__name__} gives no answers")


def _by_feature(model: "Pipeline", values: Floats) -> pd.DataFrame:
    """Contributions of the transformed columns, added up to the features that they were made of."""
    names = [str(name) for name in model.feature_names_in_]
    try:
        made = [str(name) for name in model[:-1].get_feature_names_out()]
    except (AttributeError, ValueError) as error:
        raise DataError("the model's own preprocessing doesn't say which column comes of which feature") from error
    frame = pd.DataFrame(values, columns=[_origin(column, names) for column in made])
    return frame.T.groupby(level=0).sum().T


def _origin(made: str, names: list[str]) -> str:
    bare = made.partition("__")[2] or made
    bare = bare.removeprefix("missingindicator_")
    fitting = [name for name in names if bare == name or bare.startswith(f"{name}_")]
    if not fitting:
        raise DataError(f"the transformed column {made!r} comes of no feature")
    return max(fitting, key=len)
