"""A diagnosis changes the advice that people read, and not the decision."""

from typing import Any

import pytest
from support.triage import decide, quality, signals

from everfit.tasks.core.loss_diagnosis import Cause, Diagnosis, LossPart, LossSlice, LossSplit
from everfit.tasks.monitoring.report.monitoring_report import window_json, window_page
from everfit.tasks.monitoring.window_alert import window_alert
from everfit.tasks.triage.diagnosis_signal import DiagnosisSignal
from everfit.tasks.triage.signals import Signals

LOST = quality(value=0.65)


def diagnosed(cause: Cause) -> DiagnosisSignal:
    part = LossPart(name="harder_rows", change=0.05, standard_error=0.005, low=0.04, high=0.06, certain=cause != "none")
    split = LossSplit(
        before=0.1, now=0.15, standard_error=0.01, certain=True, parts=(part,), cause=cause, unseen_share=0.0
    )
    figures = {"rows": 412, "rows_before": 90, "share_of_rows": 0.2, "contribution": 0.04, "standard_error": 0.004}
    worst = LossSlice(name="carrier = WN|x", loss=0.31, elsewhere=0.12, before=0.3, share_of_loss=0.8, **figures)
    diagnosis = Diagnosis(
        row_loss="brier",
        split=split,
        slices=(worst,),
        remedies=("these columns don't tell more",),
        reference_rows=2_000,
        window_rows=2_000,
        sampled=5_000,
    )
    return DiagnosisSignal(status="measured", diagnosis=diagnosis)


@pytest.mark.parametrize("policy", [{}, {"on": "nothing"}])
def test_harder_rows_are_named_and_the_decision_stays(policy: dict[str, Any]) -> None:
    plain = decide(signals(quality=LOST), **policy)
    found = decide(signals(quality=LOST, diagnosis=diagnosed("harder_rows")), **policy)
    assert (found.verdict, found.rule, found.signature) == (plain.verdict, plain.rule, plain.signature)
    assert found.reasons[0] == plain.reasons[0]
    assert "retraining is not expected to help" in found.reasons[1]
    summary = "carrier = WN|x: 0.31, 0.12 elsewhere, 0.3 in the hold-out, 412 rows, 80% of the loss"
    assert found.reasons[2] == f"worst slice: {summary}"


def test_no_sentence_is_added_where_the_cause_is_not_certain() -> None:
    window = signals(quality=LOST, diagnosis=diagnosed("none"))
    assert decide(window).reasons == decide(signals(quality=LOST)).reasons
    assert window.diagnosis.text.startswith("the cause is not certain")


def test_the_message_about_an_escalation_has_the_advice() -> None:
    window = signals(quality=LOST, diagnosis=diagnosed("harder_rows"))
    alert = window_alert(window, decide(window, on="nothing"))
    assert alert is not None
    assert "Such rows were as hard in the hold-out, so retraining is not expected to help" in alert.advice
    assert alert.advice.endswith("These columns don't tell more.")


def test_the_artifact_and_json_say_why() -> None:
    window = signals(quality=LOST, diagnosis=diagnosed("harder_rows"))
    decision = decide(window)
    page = window_page(window, decision, "the run", has_report=False)
    assert "## Why" in page
    assert "| 0.05 | 0.04 to 0.06 |" in page
    content = window_json(window, decision, state="RetrainingCalled", run_id="", turn=None, call=None)
    assert content["signals"]["diagnosis"]["diagnosis"]["split"]["cause"] == "harder_rows"
    assert window.numbers()["diagnosis.harder_rows"] == 0.05


def test_a_window_without_a_diagnosis_is_kept_as_it_was_before() -> None:
    kept = signals(quality=LOST).model_dump(mode="json")
    assert "diagnosis" not in kept
    assert Signals.recall(kept).diagnosis == DiagnosisSignal()
