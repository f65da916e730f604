"""The short way through a gradient boosting gives what scikit-learn gives, to the last bit, or isn't taken."""

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)

from everfit.tasks.scoring.fast_path import boosting
from everfit.tasks.scoring.fast_path.boosting import FastBoosting


def rows(count: int = 800) -> Any:
    random = np.random.default_rng(0)
    given = random.normal(size=(count, 5))
    given[random.random(given.shape) < 0.05] = np.nan
    return given


X = rows()
SIGNAL = np.nan_to_num(X[:, 0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        (HistGradientBoostingClassifier(max_iter=20), (SIGNAL > 0).astype(int)),
        (HistGradientBoostingClassifier(max_iter=7), np.array(["a", "b", "c"])[np.digitize(SIGNAL, [-0.5, 0.5])]),
        (HistGradientBoostingRegressor(max_iter=20), SIGNAL),
        (HistGradientBoostingRegressor(max_iter=1), SIGNAL),
        (HistGradientBoostingRegressor(max_iter=5, loss="poisson"), np.abs(SIGNAL)),
    ],
)
@pytest.mark.parametrize("count", [1, 3, 250, 800])
def test_gives_the_same(estimator: Any, target: Any, count: int) -> None:
    estimator.fit(X, target)
    short = FastBoosting.of(estimator)

    assert short is not None
    given = X[:count].copy()
    given[0] = np.nan
    assert np.array_equal(short.predict(given), estimator.predict(given))
    if hasattr(estimator, "classes_"):
        assert np.array_equal(short.predict_proba(given), estimator.predict_proba(given))


@pytest.mark.slow
@pytest.mark.parametrize("categorical", [[0], [1, 4], [0, 1, 2, 3, 4]])
@pytest.mark.parametrize("count", [1, 3, 800])
def test_gives_the_same_where_columns_are_categories(categorical: list[int], count: int) -> None:
    random = np.random.default_rng(1)
    given = X.copy()
    for column in categorical:
        codes = random.integers(0, 40, len(given)) * 3.0
        given[:, column] = np.where(random.random(len(given)) < 0.1, np.nan, codes)
    target = np.nan_to_num(given[:, categorical[0]]) % 7 + np.nan_to_num(given[:, 2])
    for estimator, wanted in (
        (HistGradientBoostingRegressor(max_iter=12, categorical_features=categorical), target),
        (HistGradientBoostingClassifier(max_iter=12, categorical_features=categorical), np.digitize(target, [2, 5])),
    ):
        estimator.fit(given, wanted)
        assert any(tree.nodes["is_categorical"].any() for trees in estimator._predictors for tree in trees)
        short = FastBoosting.of(estimator)

        assert short is not None
        requested = given[:count].copy()
        requested[0, categorical[0]] = 1.0  # none that was seen
        assert np.array_equal(short.predict(requested), estimator.predict(requested))


def test_what_it_does_not_know_goes_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    target = (SIGNAL > 0).astype(int)
    filled = np.nan_to_num(X)
    assert FastBoosting.of(RandomForestClassifier(n_estimators=3).fit(filled, target)) is None
    plain = HistGradientBoostingClassifier(max_iter=3).fit(X, target)
    one_tree = boosting._one_tree

    def wrong(trees: Any, features: int) -> Any:
        nodes, none = one_tree(trees, features)
        nodes["value"] *= 1 + 1e-15
        return nodes, none

    monkeypatch.setattr(boosting, "_one_tree", wrong)
    assert FastBoosting.of(plain) is None
    monkeypatch.setattr(plain, "_bin_mapper", object())  # another scikit-learn keeps it elsewhere
    assert FastBoosting.of(plain) is None
