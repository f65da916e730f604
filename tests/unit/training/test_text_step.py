"""Free text as a feature: the step inside the model, its file, its inputs, and how the ways in agree."""

import re

import numpy as np
import pandas as pd
import pytest

from everfit.blocks.columns import ColumnRoles
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.models.onnx_conversion import ConversionError, to_onnx
from everfit.tasks.models.skops_format import dump_model, load_model
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.training.pipelines import build_pipeline
from everfit.tasks.training.text_step import WORD

URGENT, CALM = "outage broken ausfall defekt", "invoice thanks rechnung danke"
ROWS = 240


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    random = np.random.default_rng(0)
    target = random.integers(0, 2, ROWS)
    filler = ["the", "and", "is", "der", "die", "und"]
    messages = [
        f"<p>{' '.join(random.choice(filler, 6))} {random.choice((URGENT if urgent else CALM).split())}</p>"
        for urgent in target
    ]
    frame = pd.DataFrame({"size": random.normal(size=ROWS), "channel": random.choice(["web", "mail"], ROWS)})
    frame["message"] = pd.array([*messages[:-1], None], dtype="str")
    return frame.assign(channel=frame["channel"].astype("str"), urgent=target)


FEATURES = ["size", "channel", "message"]


def test_html_is_passed_over() -> None:
    text = "<p class='note'>Größe &amp; 数据库 don't</p><br/>well_known"
    assert re.findall(WORD, text) == ["Größe", "数据库", "don", "well"]
    assert "script" not in re.findall(WORD, "<script src=x>alert</script>")


@pytest.mark.slow
@pytest.mark.parametrize("candidate", ["logistic_regression", "hist_gradient_boosting"])
def test_a_model_learns_from_words_and_its_file_loads_by_the_list_of_types(rows: pd.DataFrame, candidate: str) -> None:
    features, target = rows[FEATURES], rows["urgent"]
    model = build_pipeline(candidate, "binary", features, 0, prose=["message"]).fit(features[:160], target[:160])
    loaded = load_model(dump_model(model))
    expected = model.predict_proba(features)
    assert np.array_equal(loaded.predict_proba(features), expected)
    right = (expected[160:-1, 1] > 0.5) == (target[160:-1] == 1)
    assert right.mean() > 0.9
    assert b"ausfall" not in dump_model(model), "words are hashed"


def test_all_ways_in_give_the_same_answer(rows: pd.DataFrame) -> None:
    features, target = rows[FEATURES], rows["urgent"]
    model = build_pipeline("logistic_regression", "binary", features, 0, prose=["message"]).fit(features, target)
    inputs = InputSchema.of_frame(rows, task="binary", features=FEATURES, prose=["message"])
    message = inputs.columns["message"]
    assert message.categories is None
    assert message.nullable
    scorer = Scorer(model, inputs)
    expected = model.predict_proba(features)[:, 1]
    assert np.allclose(scorer.score(features).score, expected)
    json_columns = {name: [None if pd.isna(value) else value for value in features[name].tolist()] for name in FEATURES}
    checked = inputs.check(json_columns, ROWS)
    assert np.allclose(scorer.score(inputs.frame(checked)).score, expected)
    new = inputs.check({"size": [1.0], "channel": ["web"], "message": ["words that nobody has seen"]}, 1)
    assert np.isfinite(scorer.score(inputs.frame(new)).score).all()


def test_onnx_says_that_it_cannot_express_texts(rows: pd.DataFrame) -> None:
    features = rows[FEATURES]
    model = build_pipeline("logistic_regression", "binary", features, 0, prose=["message"])
    model.fit(features, rows["urgent"])
    with pytest.raises(ConversionError, match="free text"):
        to_onnx(model, features)


def test_a_column_without_any_text_is_no_words() -> None:
    frame = pd.DataFrame({"size": np.arange(50.0), "message": pd.array([None] * 50, dtype="str")})
    model = build_pipeline("hist_gradient_boosting", "regression", frame, 0, prose=["message"])
    assert [name for name, *_ in model.named_steps["columns"].transformers] == ["categories", "numbers"]


def test_the_spec_names_texts_among_the_features() -> None:
    assert ColumnRoles(target="y", text=("message",)).named() == ("y", "message")
    with pytest.raises(ValueError, match="'message' is not among the features"):
        ColumnRoles(target="y", features=("size",), text=("message",))
    with pytest.raises(ValueError, match="'y' has another role"):
        ColumnRoles(target="y", text=("y",))
