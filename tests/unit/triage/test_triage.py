"""Triage tells bad data, harmless drift and real loss apart, and never reads what it doesn't know as healthy."""

import json
import os
from pathlib import Path

import pytest
from support.triage import (
    SICK,
    SIX,
    attempt,
    broken,
    decide,
    past,
    quality,
    signals,
)
from support.triage_cases import CASES
from support.triage_reasons import early

from everfit.tasks.triage import RULES
from everfit.tasks.triage.history import History
from everfit.tasks.triage.quality_signals import EstimateSignal, QualitySignal

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", CASES)
def test_a_case_gets_its_verdict(name: str) -> None:
    result, history, retraining, verdict, rule = CASES[name]
    decision = decide(result, history, **retraining)
    assert (decision.verdict, decision.rule) == (verdict, rule), decision.reasons
    assert decision.reasons
    assert all(decision.reasons)


ONE_PER_RULE = {case[-1]: name for name, case in reversed(CASES.items())}


@pytest.mark.parametrize("rule", ONE_PER_RULE)
def test_a_decision_is_what_it_was(rule: str) -> None:
    result, history, retraining, *_ = CASES[ONE_PER_RULE[rule]]
    decision = decide(result, history, **retraining).model_dump(mode="json", exclude={"id"})
    kept = GOLDEN / f"{rule}.json"
    if os.environ.get("REGENERATE_GOLDEN"):
        kept.write_text(json.dumps(decision, indent=2, ensure_ascii=False) + "\n")
    assert kept.exists(), f"{kept.name} is missing: write it by REGENERATE_GOLDEN=1, and review the decision"
    assert decision == json.loads(kept.read_text())


def test_every_rule_fires_in_some_case() -> None:
    fired = {case[-1] for case in CASES.values()}
    named = {rule.__name__.removesuffix("_rule") for rule in RULES}
    assert named <= fired


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_nothing_that_failed_or_is_absent_is_healthy(name: str) -> None:
    result, history, retraining, *_ = CASES[name]
    for area in ("data", "drift", "quality"):
        for status in ("failed", "absent", "not_enough"):
            unknown = result.model_copy(update={area: getattr(signals(), area).model_copy(update={"status": status})})
            assert decide(unknown, history, **retraining).verdict != "healthy"


def test_early_labels_tell_of_a_loss_before_any_answer_of_a_new_champion_is_mature() -> None:
    unknown = QualitySignal(status="not_enough", reason="the champion answered nothing that could have labels")
    known = EstimateSignal(
        status="measured", metric="roc_auc", value=0.8, standard_error=0.01, baseline=quality().baseline
    )
    for value, is_named in ((0.6, True), (0.7, False)):
        decision = decide(signals(quality=unknown, estimate=known, early=early(value)), History())
        assert any("early labels show a loss" in reason for reason in decision.reasons) is is_named


def test_the_same_evidence_gives_the_same_id_and_later_history_does_not_matter() -> None:
    first = decide(signals(3), History(windows=(past(1), past(2))))
    again = decide(signals(3), History(windows=(past(1), past(2), past(3), past(4)), turns=(attempt(3), attempt(5))))
    assert first == again
    assert decide(signals(3), History(windows=(past(2),))).id != first.id


def test_the_signature_stays_while_the_trouble_lasts_and_a_person_is_told_once() -> None:
    history = History()
    reported, signatures = [], set()
    for number in range(5):
        decision = decide(signals(number, data=broken("frozen", "temp"), quality=quality(0.65, number)), history)
        reported.append(decision.notify)
        signatures.add(decision.signature)
        history = History(windows=(*history.windows, decision.remembered))
    assert reported == [True, False, True, False, False]  # at once, and when it turns out to last
    assert len(signatures) == 1
    other = decide(signals(5, data=broken("frozen", "humid")), history)
    assert other.notify
    assert other.signature not in signatures


def test_drift_before_a_gap_does_not_count() -> None:
    before = History(windows=tuple(past(n, drifted=True) for n in range(3)))
    assert decide(signals(3, drift=SIX), before).rule == "persistent_drift"
    assert decide(signals(46, drift=SIX), before).rule == "uncertain"


def test_drift_from_another_reference_does_not_count() -> None:
    before = History(windows=tuple(past(n, drifted=True, reference="reference-2") for n in range(3)))
    assert decide(signals(3, drift=SIX), before).rule == "uncertain"


def test_a_schedule_counts_from_the_last_turn_whatever_came_of_it() -> None:
    kept = History(turns=(attempt(0, signature=""),))
    assert decide(signals(8), kept, schedule="56d").rule == "due_by_schedule"
    assert decide(signals(7), kept, schedule="56d").verdict == "healthy"
    failed = History(turns=(attempt(0, "failed", signature=""),))
    assert decide(signals(7), failed, schedule="56d").rule == "due_by_schedule"


def test_the_trigger_names_the_decision() -> None:
    decision = decide(signals(quality=SICK))
    trigger = decision.trigger()
    assert (trigger.kind, trigger.id) == ("quality", decision.id)
    assert trigger.reason == decision.reasons[0]


def test_an_area_that_was_measured_has_its_numbers() -> None:
    with pytest.raises(ValueError, match="was measured but has no 'value'"):
        QualitySignal(status="measured", metric="roc_auc")
