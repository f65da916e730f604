"""What would help: a model of recent rows where the meaning changed, other columns where no model is better."""

from dataclasses import replace

import numpy as np
import pytest
from support.diagnosed_worlds import CAUSES, binary

from everfit.blocks.errors import EverfitError
from everfit.deployments.cli.diagnosing import parse_window
from everfit.tasks.diagnosis.diagnosis import diagnose
from everfit.tasks.diagnosis.labelled_rows import row_losses
from everfit.tasks.diagnosis.page import diagnosis_page


def test_harder_rows_are_not_answered_better_by_any_model() -> None:
    found = diagnose(binary(2, **CAUSES["harder_rows"]), "binary").diagnosis
    assert "retraining is not expected to help" in found.advice
    assert any(
        text.startswith("carrier = WN: a model fitted on this window alone is no better") for text in found.remedies
    )


def test_a_changed_meaning_is_learned_from_the_window() -> None:
    found = diagnose(binary(2, **CAUSES["changed_meaning"]), "binary").diagnosis
    assert found.advice == "retraining on rows since the change is expected to help"
    assert any("a model fitted on this window alone has a Brier score of 0.1" in text for text in found.remedies)
    assert found.reasons[0].startswith("the loss comes from rows that mean something else now")
    assert found.reasons[1].startswith("worst slice: ")


def test_labels_that_no_model_believes_are_doubted_and_only_those() -> None:
    evidence = binary(3, wn=0.0)
    random = np.random.default_rng(0)
    late = (evidence.window.rows["hour"].fillna(12) > 12).to_numpy()
    said = np.where(late, 0.995, 0.005)
    truth = (random.random(len(said)) < said).astype(float)
    flipped = random.random(len(said)) < 0.06
    truth[flipped] = 1 - truth[flipped]
    losses = row_losses(truth, said, "brier")
    window = replace(evidence.window, truth=truth, scores=said, losses=losses)
    calm = replace(evidence.reference, losses=np.full(len(evidence.reference), 0.01))
    found = diagnose(replace(evidence, window=window, reference=calm), "binary")
    if len(found.suspects):  # the other model learns from wrong labels too, so it may not be sure enough
        assert set(found.suspects.index) <= set(np.flatnonzero(flipped | (truth != (said > 0.5))))
    right = replace(window, truth=np.where(flipped, 1 - truth, truth))
    assert len(diagnose(replace(evidence, window=right, reference=calm), "binary").suspects) == 0


def test_the_page_needs_no_network_and_no_text_of_the_data_is_markup() -> None:
    found = diagnose(binary(2, **CAUSES["mixed"]), "binary").diagnosis
    named = found.slices[0].model_copy(update={"name": "carrier = <script>alert(1)</script>"})
    page = diagnosis_page("flights", "a window", found.model_copy(update={"slices": (named,)}))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("<svg") == 2
    nothing = diagnose(binary(2), "binary").diagnosis
    assert "no cause to look for" in diagnosis_page("flights", "a window", nothing).lower()


def test_windows_of_the_command() -> None:
    since, until = parse_window("2024-04-01..2024-04-15T06:00")
    assert (since.isoformat(), until.isoformat()) == ("2024-04-01T00:00:00+00:00", "2024-04-15T06:00:00+00:00")
    for text in ("2024-04-01", "..2024-04-01", "2024-04-01..", "a..b", "2024-04-02..2024-04-01"):
        with pytest.raises(EverfitError, match="--window"):
            parse_window(text)
