"""What would help: a model of recent rows where the meaning changed, other columns where no model is better."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.diagnosed_worlds import CAUSES, binary

from everfit.blocks.columns import ColumnRoles
from everfit.blocks.errors import EverfitError
from everfit.deployments.cli.diagnosing import doubted_labels, parse_window
from everfit.tasks.core.loss_diagnosis import PART_TEXTS
from everfit.tasks.diagnosis.diagnosis import diagnose
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence, row_losses
from everfit.tasks.diagnosis.page import diagnosis_page


@pytest.mark.slow
def test_harder_rows_are_not_answered_better_by_any_model() -> None:
    found = diagnose(binary(2, **CAUSES["harder_rows"]), "binary").diagnosis
    assert "retraining is not expected to help" in found.advice
    assert any(
        text.startswith("carrier = WN: a model fitted on this window alone is no better") for text in found.remedies
    )


@pytest.mark.slow
def test_a_changed_meaning_is_learned_from_the_window() -> None:
    found = diagnose(binary(2, **CAUSES["changed_meaning"]), "binary").diagnosis
    assert found.advice == "retraining on rows since the change is expected to help"
    assert any("a model fitted on this window alone has a Brier score of 0.1" in text for text in found.remedies)
    assert found.reasons[0].startswith("the loss comes from rows that mean something else now")
    assert found.reasons[1].startswith("worst slice: ")


def sure_answers(flipped: float, turned: bool = False) -> tuple[DiagnosisEvidence, np.ndarray]:
    """A champion that is nearly always right, and labels of which some are wrong, or that mean the opposite for UA."""
    evidence, random = binary(3, wn=0.0), np.random.default_rng(0)
    sides, wrong = [], np.zeros(0)
    for side, share in ((evidence.reference, 0.0), (evidence.window, flipped)):
        late = (side.rows["hour"].fillna(12) > 12).to_numpy()
        said = np.where(late, 0.995, 0.005)
        real = 1 - said if turned and share else said
        real = np.where((side.rows["carrier"] == "UA").to_numpy(), real, said)
        truth, wrong = (random.random(len(said)) < real).astype(float), random.random(len(said)) < share
        truth = np.where(wrong, 1 - truth, truth)
        sides.append(replace(side, truth=truth, scores=said, losses=row_losses(truth, said, "brier")))
    return replace(evidence, reference=sides[0], window=sides[1]), wrong


@pytest.mark.slow
def test_labels_that_no_model_believes_are_doubted() -> None:
    evidence, wrong = sure_answers(0.06)
    found = diagnose(evidence, "binary")
    assert np.isin(found.suspects.index, np.flatnonzero(wrong)).mean() > 0.85
    assert len(found.suspects) > 0.8 * wrong.sum()
    assert any("labels should be checked" in text for text in found.diagnosis.remedies)
    # The loss is that of the wrong labels, which a retraining would learn.
    assert found.diagnosis.doubted_share > 0.7
    assert found.diagnosis.advice.startswith("most of the loss is in labels that look wrong, so check them first")


@pytest.mark.slow
def test_labels_that_mean_something_else_now_are_not_doubted() -> None:
    evidence, _ = sure_answers(0.001, turned=True)
    found = diagnose(evidence, "binary")
    assert len(found.suspects) == 0
    assert found.diagnosis.doubted_share == 0
    assert "retraining" in found.diagnosis.advice


@pytest.mark.slow
def test_rows_that_contradict_each_other_are_counted_where_the_holdout_has_none() -> None:
    evidence, random = binary(4, **CAUSES["changed_meaning"]), np.random.default_rng(0)
    window = evidence.window
    assert window.truth is not None
    twice = np.repeat(np.arange(len(window) // 2), 2)
    truth = window.truth.copy()
    truth[: len(twice)] = random.permuted(np.tile([0.0, 1.0], (len(twice) // 2, 1)), axis=1).ravel()
    rows = window.rows.iloc[twice].reset_index(drop=True)
    found = diagnose(replace(evidence, window=replace(window, rows=rows, truth=truth)), "binary").diagnosis
    assert any(text.startswith("100% of the rows have the values of another row") for text in found.remedies)


def test_doubted_labels_are_a_file_of_labels_with_their_key() -> None:
    rows = pd.DataFrame({"_key": ["a"], "hour": [3], "id": [7], "_label": ["1"], "_score": [0.01]})
    content = doubted_labels(rows, ColumnRoles(key=("id",), event_time="at", target="late"))
    assert content.to_csv(index=False) == "id,late,hour\n7,1,3\n"


@pytest.mark.slow
def test_the_page_needs_no_network_and_no_text_of_the_data_is_markup() -> None:
    found = diagnose(binary(2, **CAUSES["mixed"]), "binary").diagnosis
    named = found.slices[0].model_copy(update={"name": "carrier = <script>alert(1)</script>"})
    page = diagnosis_page("flights", "a window", found.model_copy(update={"slices": (named,)}))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("<svg") == 2
    assert all(text in page for text in PART_TEXTS.values())
    nothing = diagnose(binary(2), "binary").diagnosis
    assert "no cause to look for" in diagnosis_page("flights", "a window", nothing).lower()


def test_windows_of_the_command() -> None:
    since, until = parse_window("2024-04-01..2024-04-15T06:00")
    assert (since.isoformat(), until.isoformat()) == ("2024-04-01T00:00:00+00:00", "2024-04-15T06:00:00+00:00")
    for text in ("2024-04-01", "..2024-04-01", "2024-04-01..", "a..b", "2024-04-02..2024-04-01"):
        with pytest.raises(EverfitError, match="--window"):
            parse_window(text)


def noise_for_ever(seed: int) -> DiagnosisEvidence:
    """A window in which no feature tells the label any more, and an ignored column does; another is a coin."""
    evidence, random = binary(seed, **CAUSES["changed_meaning"]), np.random.default_rng(seed)
    window = evidence.window
    assert window.scores is not None
    rating, coin = random.normal(size=len(window)), random.choice(["heads", "tails"], len(window))
    truth = (random.random(len(window)) < 1 / (1 + np.exp(-1.7 * rating))).astype(float)
    window = replace(
        window,
        rows=window.rows.assign(rating=rating, coin=coin),
        truth=truth,
        losses=row_losses(truth, window.scores, "brier"),
    )
    return replace(evidence, window=window, unused=("coin", "rating"))


@pytest.mark.slow
def test_columns_that_tell_nothing_any_more_are_no_reason_to_retrain_and_the_ignored_one_that_does_is_named() -> None:
    found = diagnose(noise_for_ever(2), "binary").diagnosis
    assert found.cause == "changed_meaning"
    assert "retraining is not expected to help; other columns would" in found.advice
    assert [text.split(",")[0] for text in found.remedies if "does not read" in text] == ["rating"]


@pytest.mark.slow
def test_an_ignored_column_that_tells_what_the_features_tell_is_not_named() -> None:
    evidence = binary(2, **CAUSES["changed_meaning"])
    window = evidence.window
    again = replace(window, rows=window.rows.assign(copy=window.rows["carrier"]))
    found = diagnose(replace(evidence, window=again, unused=("copy",)), "binary").diagnosis
    assert not found.columns_spent
    assert not any("does not read" in text for text in found.remedies)
