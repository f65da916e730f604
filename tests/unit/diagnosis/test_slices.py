"""Slices are measured on rows that they were not found on, and are named in plain words."""

import numpy as np
import pandas as pd
import pytest
from support.diagnosed_worlds import binary

from everfit.tasks.diagnosis.conditions import Condition, conditions_in_words
from everfit.tasks.diagnosis.encoding import encode
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence, LabelledRows
from everfit.tasks.diagnosis.slices import worst_slices
from everfit.tasks.diagnosis.unseen_values import unseen_values
from everfit.tasks.statistics.holm import holm


def side(seed: int, bad: bool, rows: int = 3_000) -> LabelledRows:
    """Rows of which WN's late ones have a loss of .31 if `bad`, and .12 otherwise."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"dep_hour": random.integers(0, 24, rows), "carrier": random.choice(["WN", "AA"], rows)})
    late = (frame["carrier"] == "WN") & (frame["dep_hour"] > 17)
    expected = np.where(late.to_numpy() & bad, 0.31, 0.12)
    return LabelledRows(frame, (random.random(rows) < expected).astype(float), random.integers(0, 30, rows))


def slices_of(evidence: DiagnosisEvidence) -> tuple[str, ...]:
    encoded = encode(evidence.reference.rows, evidence.window.rows, evidence.columns)
    return tuple(slice_.summary for slice_, _ in worst_slices(evidence, encoded))


def test_a_combination_is_named_with_its_figures() -> None:
    found = slices_of(DiagnosisEvidence.sampled(side(1, bad=False), side(2, bad=True), ["dep_hour", "carrier"]))
    assert len(found) == 1
    assert "carrier = WN" in found[0]
    assert "dep_hour > 1" in found[0]
    assert "elsewhere" in found[0]
    assert "rows" in found[0]


@pytest.mark.slow
def test_nothing_is_named_where_nothing_is_wrong() -> None:
    wrong = 0
    for seed in range(40):
        evidence = DiagnosisEvidence.sampled(
            side(seed, bad=False), side(seed + 100, bad=False), ["dep_hour", "carrier"]
        )
        wrong += bool(slices_of(evidence))
    assert wrong <= 4


def test_the_figures_of_a_slice_are_unbiased() -> None:
    """What the tree found by luck does not count: it is measured on the other half."""
    contributions = []
    for seed in range(12):
        evidence = DiagnosisEvidence.sampled(side(seed, bad=False), side(seed + 50, bad=True), ["dep_hour", "carrier"])
        encoded = encode(evidence.reference.rows, evidence.window.rows, evidence.columns)
        contributions += [slice_.contribution for slice_, _ in worst_slices(evidence, encoded)[:1]]
    assert np.mean(contributions) < 1.35 * 0.19 * 0.125  # the true one: the extra loss, of an eighth of the rows


def test_conditions_in_words() -> None:
    hour = Condition("hour", None, None, above=True, threshold=5.5, missing=True)
    assert conditions_in_words([hour]) == "hour > 5.5 or missing"
    assert conditions_in_words([hour, hour._replace(above=False, threshold=9)]) == "5.5 < hour <= 9 or missing"
    assert conditions_in_words([hour._replace(threshold=np.inf)]) == "hour is missing"
    assert (
        conditions_in_words([hour._replace(threshold=np.inf, above=False), hour._replace(missing=False)])
        == "hour > 5.5"
    )
    wn = Condition("carrier", None, "= WN", above=False, threshold=0.5, missing=False)
    assert conditions_in_words([wn]) == "carrier is not WN"
    assert conditions_in_words([wn, wn._replace(category="= AA")]) == "carrier is none of WN, AA"
    assert conditions_in_words([wn, wn._replace(category="missing", above=True)]) == "carrier is missing"
    word = Condition("text", "refund", None, above=False, threshold=0.5, missing=False)
    assert conditions_in_words([word, wn._replace(above=True)]) == "text lacks the word 'refund' and carrier = WN"


def test_values_that_the_holdout_lacks_are_named() -> None:
    evidence = binary(3, far=0.25)
    encoded = encode(evidence.reference.rows, evidence.window.rows, evidence.columns)
    found = unseen_values(evidence, encoded)
    assert any(text.startswith("carrier = ZZ is not in the hold-out: 0.66") for text in found)
    assert any(text.startswith("distance > ") for text in found)
    same = binary(3)
    assert unseen_values(same, encode(same.reference.rows, same.window.rows, same.columns)) == ()


def test_holm_stops_at_the_first_test_that_fails() -> None:
    assert holm({"a": 0.001, "b": 0.04, "c": 0.03}, 0.05) == {"a": True, "c": False, "b": False}
    assert holm({}, 0.05) == {}
