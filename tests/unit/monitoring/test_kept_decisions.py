"""A decision that version 0.1 kept is still read, whatever its fields are called since."""

import json
from pathlib import Path

from everfit.tasks.core.records import Trigger
from everfit.tasks.monitoring.triage_history import JudgedWindow, history_of

KEPT = Path(__file__).parent / "kept" / "triage-0.1.json"


def test_a_decision_of_version_0_1_is_read_with_all_its_evidence() -> None:
    kept = json.loads(KEPT.read_text())

    judged = JudgedWindow.recall(kept)

    signals, decision = judged.signals, judged.decision
    assert signals.data.suspicious[0].summary == "the log: 900 rows"
    assert (signals.user_metrics[0].metric, signals.user_metrics[0].value) == ("accepted", 0.4)
    assert signals.service_health.figures == {"p99_ms": 70.0}
    assert signals.service_health.alarms == ("too slow",)
    assert decision.loss is not None
    assert decision.loss.summary == kept["decision"]["loss"]["words"]
    assert decision.kind == "user_metric"
    assert Trigger(kind="satisfaction").kind == "user_metric"  # type: ignore[arg-type]
    assert JudgedWindow.model_validate(judged.model_dump(mode="json")) == judged
    assert history_of([judged], [], decision.window.until).windows == (decision.remembered,)
