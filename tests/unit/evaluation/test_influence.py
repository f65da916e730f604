"""Of very many features those that move the answers are found, at a cost that grows with the columns."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from everfit.tasks.evaluation.explanations import permutation_importance, sampled
from everfit.tasks.evaluation.influence import MOST, most_influential
from everfit.tasks.evaluation.robustness import robustness
from everfit.tasks.evaluation.scored_rows import ScoredRows

STRONG = ("f003", "f097", "f150")


class Wide:
    """A model of many features, of which three matter; it counts the values that it reads."""

    def __init__(self, columns: int) -> None:
        self.feature_names_in_ = np.array([f"f{number:03}" for number in range(columns)])
        self.classes_ = np.array([0.0, 1.0])
        self.cells = 0

    def predict_proba(self, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        self.cells += rows.size
        positive = 1 / (1 + np.exp(-2 * rows[list(STRONG)].sum(axis=1).to_numpy()))
        return np.column_stack([1 - positive, positive])

    def ask(self, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        return self.predict_proba(rows)[:, 1]


def wide(columns: int, rows: int = 300) -> tuple[Wide, pd.DataFrame]:
    model, random = Wide(columns), np.random.default_rng(0)
    return model, pd.DataFrame(random.normal(size=(rows, columns)), columns=model.feature_names_in_)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [200, 500])
def test_the_features_that_move_the_answers_are_found(columns: int) -> None:
    model, rows = wide(columns)
    chosen = most_influential(model.ask, rows, seed=0)
    assert len(chosen) == MOST
    assert set(STRONG) < set(chosen)
    assert chosen == sorted(chosen) == most_influential(model.ask, rows, seed=0)


def test_few_features_are_all_taken_and_the_model_is_not_asked() -> None:
    model, rows = wide(MOST + 100)
    few = rows.iloc[:, :MOST]
    assert most_influential(model.ask, few, seed=0) == list(few.columns)
    assert model.cells == 0


def test_importance_and_robustness_look_at_those_alone() -> None:
    model, rows = wide(160, rows=40)
    scores = model.ask(rows)
    scored = ScoredRows(
        "binary", rows, (scores > 0.5).astype(float), {"challenger": scores}, [0.0, 1.0], {"challenger": model}  # type: ignore[dict-item]
    )  # fmt: skip
    importance = permutation_importance(scored, "roc_auc", seed=0)
    flips = {feature.feature for feature in robustness(scored, seed=0).features}
    assert set(list(importance)[:3]) == set(STRONG)
    assert set(importance) == flips == set(scored.influential("challenger", 0))
    assert len(flips) == MOST


@pytest.mark.slow
def test_the_cost_grows_with_the_columns_and_not_with_their_square() -> None:
    cells = []
    for columns in (300, 900):
        model, rows = wide(columns, rows=60)
        most_influential(model.ask, rows, seed=0)
        cells.append(model.cells)
    assert cells[1] / cells[0] < 1.25 * 3


def test_contributions_of_chosen_features_keep_the_other_values() -> None:
    model, rows = wide(200)
    contributions = sampled(model.ask, rows.head(50), rows, seed=0, chosen=["f003", "f097", "f150", "f199"])
    assert list(contributions.columns) == ["f003", "f097", "f150", "f199"]
    assert (contributions["f199"] == 0).all()
    assert contributions[list(STRONG)].abs().mean().min() > 0.05
