"""The short way through a linear pipeline gives what scikit-learn gives, rounding apart, or isn't taken."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from support.condensing import is_same, restored_from_bytes

from everfit.blocks.metrics import TaskKind
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.scoring.fast_path import linear
from everfit.tasks.scoring.fast_path.answering import ByEncoding
from everfit.tasks.scoring.fast_path.boosting import FastBoosting
from everfit.tasks.scoring.fast_path.linear import FastLinearModel
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.training.pipelines import build_pipeline

ROWS = 900
FEATURES = ["distance", "wind", "seats", "freight", "empty", "carrier", "dest", "plane"]


def table() -> pd.DataFrame:
    """Numbers with and without holes and far from nought, whole ones, booleans, texts: rare ones and missing ones."""
    random = np.random.default_rng(0)
    wind = random.normal(10, 4, ROWS)
    wind[::7] = np.nan
    dest = random.choice([f"D{one:02}" for one in range(60)], ROWS, p=np.arange(60, 0, -1) / 1830)
    plane = random.choice(["A", "B", None], ROWS)
    return pd.DataFrame(
        {
            "distance": random.normal(1e6, 2, ROWS),
            "wind": wind,
            "seats": random.integers(50, 400, ROWS),
            "freight": random.random(ROWS) < 0.3,
            "empty": np.full(ROWS, np.nan),
            "carrier": pd.array(random.choice(["AA", "B6", "UA"], ROWS), dtype="str"),
            "dest": pd.array(dest, dtype="str"),
            "plane": pd.array(plane, dtype="str"),
        }
    )


TABLE = table()
SIGNAL = TABLE["wind"].fillna(4) / 10 + (TABLE["carrier"] == "B6") + TABLE["dest"].str[1:].astype(int) / 30
TARGETS: dict[TaskKind, Any] = {
    "binary": (SIGNAL.median() < SIGNAL).astype(int),
    "multiclass": pd.cut(SIGNAL, 3, labels=["x", "y", "z"]).astype("str"),
    "regression": SIGNAL * 1e4,
}


def fitted(task: TaskKind) -> tuple[Any, InputSchema]:
    candidate = "ridge" if task == "regression" else "logistic_regression"
    pipeline = build_pipeline(candidate, task, TABLE, 0).fit(TABLE, TARGETS[task])
    return pipeline, InputSchema.of_frame(TABLE, task=task, features=FEATURES)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("count", [1, 3, ROWS])
def test_gives_the_same(task: TaskKind, count: int) -> None:
    pipeline, inputs = fitted(task)
    short = FastLinearModel.of(pipeline, inputs)
    assert short is not None
    requested = TABLE.head(count).copy()
    requested.loc[0, ["dest", "carrier"]] = [
        "nowhere",
        "ZZ",
    ]  # none that training has seen, where the policy lets it in
    columns = {
        name: [None if pd.isna(value) else value for value in requested[name].tolist()] for name in requested.columns
    }

    expected = pipeline.predict(requested) if task == "regression" else pipeline.predict_proba(requested)
    result = short.predict(columns) if task == "regression" else short.predict_proba(columns)

    np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-11)
    scorer = Scorer(pipeline, inputs)
    assert scorer.score_columns(columns).values.tolist() == pytest.approx(scorer.score(requested).values.tolist())
    assert is_same(restored_from_bytes(scorer.answering).scores(columns), scorer.score_columns(columns))


def test_another_form_goes_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.preprocessing import MinMaxScaler

    pipeline, inputs = fitted("binary")
    mixed = clone(pipeline)
    mixed.steps[0][1].transformers[0][1].steps[1] = ("range", MinMaxScaler())
    assert FastLinearModel.of(mixed.fit(TABLE, TARGETS["binary"]), inputs) is None

    full = TABLE.drop(columns="empty")
    trees = build_pipeline("hist_gradient_boosting", "binary", full, 0).fit(full, TARGETS["binary"])
    assert FastLinearModel.of(trees, inputs) is None
    monkeypatch.setattr(linear, "_of_categories", lambda encoder, names, weights: (np.zeros(1), []))
    assert FastLinearModel.of(pipeline, inputs) is None  # it would give something else


@pytest.mark.slow
def test_everfits_own_gradient_boosting_has_a_short_way() -> None:
    full = TABLE.drop(columns="empty")
    trees = build_pipeline("hist_gradient_boosting", "multiclass", full, 0).fit(full, TARGETS["multiclass"])
    scorer = Scorer(trees, InputSchema.of_frame(full, task="multiclass", features=list(full.columns)))

    assert isinstance(scorer.answering, ByEncoding)
    assert isinstance(scorer.answering.last, FastBoosting)
