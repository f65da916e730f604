"""Fairness of a model in use, from its answers and their labels."""

import numpy as np
import pandas as pd
import pytest
from support.logs import EVENT_TIME
from unit.monitoring.test_live_quality import START, answers

from everfit.tasks.monitoring.signals.limits import odds, parity
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions


def answered(task: str, unfair: float) -> LabelledPredictions:
    """Answers of which a share is turned to the first class in the group `a`."""
    found = answers(task, 3_000)
    rows, random = found.rows.copy(), np.random.default_rng(1)
    given = np.array(found.classes, dtype=object)[
        (rows["_score"] >= 0.5).astype(int) if task == "binary" else np.vstack(rows["_probabilities"]).argmax(axis=1)
    ]
    turned = (rows["group"] == "a").to_numpy() & (random.random(len(rows)) < unfair)
    rows["_prediction"] = np.where(turned, found.classes[0], given)
    return LabelledPredictions(found.window, rows, EVENT_TIME, found.task, found.classes)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_answers_that_treat_a_group_otherwise_have_a_parity_and_odds_difference(task: str) -> None:
    fair, unfair = answered(task, 0.0), answered(task, 0.6)

    for measure in (parity, odds):
        before, after = measure(fair, "group"), measure(unfair, "group")
        assert before is not None
        assert after is not None
        assert before.low == 0.0
        assert after.low > 0.1, measure.__name__
        assert set(after.names) == {"a", "b"}


def test_parity_needs_no_labels() -> None:
    found = answered("binary", 0.6)
    unlabelled = LabelledPredictions(
        found.window, found.rows.assign(_label=None), EVENT_TIME, found.task, found.classes
    )

    gap = parity(unlabelled, "group")

    assert gap is not None
    assert gap.low > 0.1


def test_a_column_that_the_log_lacks_has_no_figure() -> None:
    found = answered("binary", 0.0)

    assert parity(found, "age") is None
    assert odds(found, "age") is None


def test_equal_odds_are_measured_on_rows_that_are_truly_alike() -> None:
    # The group `a` has more positive rows, so parity differs, but the model treats like rows alike.
    random = np.random.default_rng(3)
    group = random.choice(["a", "b"], 4_000)
    truth = random.random(4_000) < np.where(group == "a", 0.8, 0.2)
    given = np.where(random.random(4_000) < 0.1, ~truth, truth)
    rows = pd.DataFrame(
        {
            EVENT_TIME: START + pd.to_timedelta(np.sort(random.uniform(0, 28, 4_000)), unit="D"),
            "group": group,
            "_prediction": given.astype(int).astype(str),
            "_score": given.astype(float),
            "_label": truth.astype(int).astype(str),
        }
    )
    found = LabelledPredictions(answers("binary", 50).window, rows, EVENT_TIME, "binary", ("0", "1"))

    parities, equalized = parity(found, "group"), odds(found, "group")

    assert parities is not None
    assert parities.low > 0.4
    assert equalized is not None
    assert equalized.low < 0.02
