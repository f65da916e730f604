"""Limits of fairness and calibration: watched at first, then what the spec asks for."""

from typing import Any

from support.triage import SICK, decide, drifted, fair, parity, past, signals

from everfit.blocks.live_limits import LiveCalibrationPolicy
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.monitoring.window_alert import window_alert
from everfit.tasks.triage.decision import TriageDecision
from everfit.tasks.triage.history import History
from everfit.tasks.triage.limit_signals import CalibrationSignal, FairnessSignal, LimitedFigure

NAME = "fairness.parity_of_sex"


def limited(low: float, when_broken: str = "escalate", row: History | None = None, **changes: Any) -> TriageDecision:
    return decide(signals(5, fairness=parity(low), **changes), row, fair(when_broken))


def before(*names: str, **changes: Any) -> History:
    return History(windows=(past(4, broken_limits=names, verdict="watch", **changes),))


def test_a_limit_that_may_hold_is_no_concern() -> None:
    assert limited(0.09).verdict == "healthy"


def test_a_broken_limit_is_watched_at_first_and_remembered() -> None:
    decision = limited(0.12)

    assert (decision.verdict, decision.rule) == ("watch", "broken_limit")
    assert decision.reasons[0] == (
        "demographic parity difference of sex is 0.17 between 'f' and 'm' (0.12 to 0.22, 2,000 rows; at most 0.1 is "
        "allowed)"
    )
    assert decision.remembered is not None
    assert decision.remembered.broken_limits == (NAME,)


def test_a_broken_limit_is_the_reason_even_where_other_things_are_unusual() -> None:
    decision = limited(0.12, drift=drifted("temp", "wind"))

    assert decision.rule == "broken_limit"
    assert decision.reasons[0].startswith("demographic parity difference of sex")
    assert sum("demographic parity" in reason for reason in decision.reasons) == 1


def test_a_limit_that_stays_broken_does_what_the_spec_says() -> None:
    escalated, retrained, watched = (limited(0.12, what, before(NAME)) for what in ("escalate", "retrain", "watch"))

    assert (escalated.verdict, escalated.rule) == ("escalate", "broken_limit_escalation")
    assert escalated.reasons[1:] == (
        "the limit of the demographic parity difference of sex was exceeded in 2 windows in a row",
    )
    assert (retrained.verdict, retrained.rule, retrained.kind) == ("retrain", "broken_limit_retraining", "signal")
    assert watched.verdict == "watch"


def test_people_are_told_of_a_limit_at_the_first_window_that_exceeds_it() -> None:
    found = signals(5, fairness=parity(0.12))
    at_first = window_alert(found, limited(0.12))
    retrained = window_alert(found, limited(0.12, "retrain", before(NAME)))
    escalated = window_alert(found, limited(0.12, "escalate", before(NAME)))

    assert at_first is not None
    assert (at_first.severity, at_first.what) == ("warning", "a limit of fairness or calibration is exceeded")
    assert at_first.why[0].startswith("demographic parity difference of sex is 0.17")
    assert "when_broken" in at_first.advice
    assert retrained is not None
    assert (retrained.severity, retrained.signature) == ("warning", at_first.signature)  # no other problem
    assert escalated is not None
    assert escalated.severity == "critical"
    assert window_alert(signals(5, fairness=parity(0.09)), limited(0.09)) is None


def test_another_champion_or_another_limit_begins_anew() -> None:
    assert limited(0.12, "escalate", before(NAME, reference="reference-2")).verdict == "watch"
    assert limited(0.12, "escalate", before("fairness.parity_of_age")).verdict == "watch"


def test_lost_quality_comes_before_a_broken_limit() -> None:
    assert limited(0.12, "escalate", before(NAME), quality=SICK).rule == "realised_loss"


def test_a_calibration_that_is_off_can_retrain_at_once() -> None:
    error = LimitedFigure(
        name="error", label="expected calibration error", value=0.2, low=0.15, high=0.25, rows=900, limit=0.1
    )
    found = signals(5, calibration=CalibrationSignal(status="measured", figures=(error,)))
    calibration = LiveCalibrationPolicy(max_error=0.1, when_broken="retrain", windows=1)

    decision = decide(found, None, MonitoringPolicy(calibration=calibration))

    assert (decision.verdict, decision.rule) == ("retrain", "broken_limit_retraining")
    assert decision.reasons[1].endswith("was exceeded in this window")


def test_a_fairness_that_could_not_be_measured_is_no_good_news() -> None:
    found = signals(5, fairness=FairnessSignal(status="failed", reason="KeyError: 'sex'"))

    assert decide(found).rule == "failed_evidence"


def test_the_message_about_a_limit_says_how_far_it_is_exceeded() -> None:
    window = signals(5, fairness=parity(0.12))
    alert = window_alert(window, limited(0.12, "escalate", before(NAME)))

    assert alert is not None
    assert "demographic parity difference of sex is 0.17 between 'f' and 'm' (0.12 to 0.22" in alert.how_bad
