"""A version as the numbers and texts by which it answers: to the last bit, without scikit-learn, or not at all."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from support.condensing import is_same, restored_from_bytes

from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.scoring import condensed
from everfit.tasks.scoring.condensed import condense, read_condensed
from everfit.tasks.scoring.fast_path.stored import NotStorableError
from everfit.tasks.scoring.scorer import Scorer

VERSION = ModelVersion(model="delays", version=3, run_id="run", trained_until=datetime(2024, 1, 1, tzinfo=UTC))
ROWS = pd.DataFrame(
    {
        "x": [float(row % 17) if row % 5 else np.nan for row in range(300)],
        "shop": pd.array([["north", "south", "east", None][row % 4] for row in range(300)], dtype="str"),
    }
)
CODED = {"handle_unknown": "use_encoded_value", "unknown_value": np.nan}
SIGNAL = ROWS["x"].fillna(3) + (ROWS["shop"] == "south") * 4
TARGETS: dict[str, Any] = {
    "binary": (SIGNAL > 8).astype(int),
    "multiclass": pd.cut(SIGNAL, 3, labels=["low", "mid", "high"]).astype("str"),
    "regression": SIGNAL,
}
QUESTIONS = {"x": [1.0, None, 400.0, 8.0], "shop": ["north", "nowhere", None, "south"]}


def scorer_of(estimator: Any, task: str) -> Scorer:
    columns = ColumnTransformer([("codes", OrdinalEncoder(**CODED), ["shop"])], remainder="passthrough")
    model = Pipeline([("columns", columns), ("estimator", estimator)]).fit(ROWS, TARGETS[task])
    return Scorer(model, InputSchema.of_frame(ROWS, task=task, features=["x", "shop"]))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def boosting() -> Scorer:
    return scorer_of(HistGradientBoostingClassifier(max_iter=4), "binary")


@pytest.mark.parametrize(
    ("estimator", "task"),
    [
        (HistGradientBoostingClassifier(max_iter=3, categorical_features=[0]), "binary"),
        (HistGradientBoostingClassifier(max_iter=3), "multiclass"),
        (HistGradientBoostingRegressor(max_iter=3), "regression"),
        (HistGradientBoostingRegressor(max_iter=3, loss="poisson"), "regression"),
    ],
)
def test_a_boosting_answers_the_same_to_the_last_bit(estimator: Any, task: str) -> None:
    scorer = scorer_of(estimator, task)
    assert is_same(restored_from_bytes(scorer.answering).scores(QUESTIONS), scorer.score_columns(QUESTIONS))


def test_far_from_the_middle_probabilities_are_scikit_learns_too(boosting: Scorer) -> None:
    """Where the exponential is infinite, and where numpy's own differs from the C library's in the last bit."""
    from everfit.tasks.scoring.fast_path.links import LINKS

    sums = np.concatenate([np.linspace(-50, 50, 2_003), [-800.0, 800.0, 0.0]])[:, None]
    loss = boosting.estimator.steps[-1][1]._loss  # type: ignore[attr-defined]
    assert np.array_equal(LINKS["LogitLink"](sums), loss.predict_proba(sums))


def test_a_model_without_a_fast_path_says_so() -> None:
    scorer = scorer_of(DummyClassifier(), "binary")
    with pytest.raises(NotStorableError):
        scorer.answering.stored()


@pytest.fixture
def made(boosting: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(condensed, "read_scorer", lambda *_: boosting)
    return condense(tmp_path, VERSION, "these files", lambda _: [QUESTIONS])


def test_it_is_read_for_the_files_that_it_was_made_from(made: bytes, boosting: Scorer) -> None:
    found = read_condensed(made, "these files")
    assert found is not None
    assert is_same(found.answering.scores(QUESTIONS), boosting.score_columns(QUESTIONS))
    assert Scorer(found, boosting.inputs).classes == boosting.classes  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="made from other files"):
        read_condensed(made, "other files")


def test_one_of_other_libraries_is_not_read(made: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(condensed, "installed_version", lambda _: "another")
    with pytest.raises(ValueError, match="by other libraries"):
        read_condensed(made, "these files")


@pytest.mark.parametrize("kept", [0, 10, 2_000, -1])
def test_a_torn_file_is_not_read(made: bytes, kept: int) -> None:
    with pytest.raises(ValueError, match="can't be read"):
        read_condensed(made[:kept], "these files")


def test_a_version_that_would_answer_differently_keeps_its_pipeline(
    boosting: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = scorer_of(HistGradientBoostingClassifier(max_iter=1), "binary").answering.stored()
    monkeypatch.setattr(condensed, "read_scorer", lambda *_: boosting)
    monkeypatch.setattr(type(boosting.answering), "stored", lambda _: another)
    content = condense(tmp_path, VERSION, "these files", lambda _: [QUESTIONS])
    assert read_condensed(content, "these files") is None


WITHOUT = """
import json, sys
from pathlib import Path
from everfit.infra.serving import accepted_specs, app, endpoint, server
from everfit.tasks.registry import readers
from everfit.tasks.scoring.condensed import read_condensed
found = read_condensed(Path(sys.argv[1]).read_bytes(), "these files")
found.answering.scores(json.loads(sys.argv[2]))
loaded = sorted(sys.modules)
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier  # another version may need all of it
HistGradientBoostingClassifier(max_iter=1).fit([[0.0], [1.0]] * 30, [0, 1] * 30)
print(json.dumps(loaded))
"""


@pytest.mark.slow
def test_it_answers_without_scikit_learn_which_can_be_imported_later(made: bytes, tmp_path: Path) -> None:
    path = tmp_path / "3.condensed"
    path.write_bytes(made)
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT, path, json.dumps(QUESTIONS)], capture_output=True, text=True, check=True
    )
    loaded = json.loads(ran.stdout)
    heavy = {"sklearn", "sklearn.base", "scipy", "skops", "mlflow", "prefect", "sqlalchemy", "deltalake", "fastapi"}
    assert not heavy & set(loaded)
