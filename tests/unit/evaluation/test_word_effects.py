"""The words that move the answers are named, unless they are rare."""

import numpy as np
import pandas as pd
import pytest

from everfit.tasks.evaluation.scored_rows import ScoredRows
from everfit.tasks.evaluation.word_effects import word_effects
from everfit.tasks.training.pipelines import build_pipeline

ROWS = 300


def judged(candidate: str) -> ScoredRows:
    """A model whose label hangs on two words of its message, `outage` and `thanks`."""
    random = np.random.default_rng(0)
    urgent = random.integers(0, 2, ROWS)
    filler = ["parcel", "street", "monday", "blue", "large"]
    texts = [f"<p>{' '.join(random.choice(filler, 3))} {('Thanks', 'OUTAGE!')[one]}</p>" for one in urgent]
    rows = pd.DataFrame({"size": random.normal(size=ROWS), "message": pd.array(texts, dtype="str")})
    rows.loc[7, "message"] = "outage of schmidt"
    rows.loc[8, "message"] = None
    features = ["size", "message"]
    model = build_pipeline(candidate, "binary", rows[features], 0, prose=["message"]).fit(rows[features], urgent)
    scores = {"challenger": model.predict_proba(rows[features])[:, 1]}
    return ScoredRows("binary", rows, urgent.astype(np.float64), scores, [0, 1], {"challenger": model})


@pytest.mark.parametrize("candidate", ["logistic_regression", "hist_gradient_boosting"])
def test_the_words_that_the_label_hangs_on_come_first(candidate: str) -> None:
    words = word_effects(judged(candidate), ["message"], 0)["message"]

    assert set(list(words)[:2]) == {"outage", "thanks"}
    assert words["outage"] > 0.1 > -0.1 > words["thanks"]
    assert "schmidt" not in words, "a rare word may be a name"


def test_a_model_without_texts_has_no_words() -> None:
    assert word_effects(judged("logistic_regression"), [], 0) == {}
