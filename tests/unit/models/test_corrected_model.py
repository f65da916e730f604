"""A corrected model is a file of scikit-learn's own parts, and answers as the correction says wherever it is asked."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.condensing import is_same, restored_from_bytes
from support.training import a_spec, rows_of

from everfit.tasks.models.corrected_model import corrected, parts_of
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.models.skops_format import dump_model, load_model
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.statistics.corrections import Correction
from everfit.tasks.training.fitting import fit
from everfit.tasks.training.search import Setting

FEATURES = ["x", "noise", "color"]
CORRECTIONS: dict[str, dict[str, Any]] = {
    "binary": {"link": "logit", "slope": 0.8, "shifts": (0.7,)},
    "multiclass": {"link": "log", "slope": 1.2, "shifts": (0.3, -0.5, 0.2)},
    "regression": {"link": "identity", "slope": 0.9, "shifts": (2.0,)},
}


@pytest.mark.slow
@pytest.mark.parametrize("task", CORRECTIONS)
@pytest.mark.parametrize("kind", ["linear", "boosting"])
def test_it_is_loaded_by_the_trusted_list_and_answers_as_the_correction_says(task: str, kind: str) -> None:
    linear = "ridge" if task == "regression" else "logistic_regression"
    rows, correction = rows_of(task), Correction.model_validate(CORRECTIONS[task])
    candidate = linear if kind == "linear" else "hist_gradient_boosting"
    spec = a_spec(task, training={"candidates": [candidate]})
    model = fit(spec, FEATURES, candidate, Setting(), rows)

    mended = load_model(dump_model(corrected(model, correction)))

    shown = rows.head(50)
    frame = shown[FEATURES]
    if task == "regression":
        expected = correction.apply(model.predict(frame))
        assert mended.predict(frame) == pytest.approx(expected)
    else:
        answers = model.predict_proba(frame)
        changed = correction.apply(answers[:, 1] if task == "binary" else answers)
        expected = np.column_stack([1 - changed, changed]) if task == "binary" else changed
        assert mended.predict_proba(frame) == pytest.approx(expected)
        assert mended.predict(frame).tolist() == model.classes_[expected.argmax(axis=1)].tolist()
    # The service's path for single rows gives the same, by the fast path of the model inside.
    inputs = InputSchema.of_frame(shown, task=task, features=FEATURES)  # type: ignore[arg-type]
    scorer = Scorer(mended, inputs)
    columns = {name: [None if pd.isna(value) else value for value in frame[name].tolist()] for name in FEATURES}
    fast, slow = scorer.score_columns(columns), scorer.score(frame)
    assert is_same(restored_from_bytes(scorer.answering).scores(columns), fast)
    assert fast.values.tolist() == (
        pytest.approx(slow.values.tolist()) if task == "regression" else slow.values.tolist()
    )
    if slow.probabilities is not None:
        assert fast.probabilities == pytest.approx(slow.probabilities)


def test_a_second_remedy_is_put_in_the_place_of_the_first() -> None:
    model = fit(a_spec(), FEATURES, "logistic_regression", Setting(), rows_of())
    first, second = (Correction(link="logit", slope=slope, shifts=(0.5,)) for slope in (2.0, 0.5))

    twice = parts_of(corrected(corrected(model, first), second))

    assert twice is not None
    assert twice[0] is model
    assert twice[1] == second.after(first)
    assert parts_of(model) is None
