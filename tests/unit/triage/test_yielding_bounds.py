"""A bound that everfit inferred, and nobody accepted, never stops a retraining that measured quality calls for."""

from support.triage import SICK, WEEK, broken, decide, past, quality, signals, week

from everfit.tasks.core.records import Window
from everfit.tasks.triage.history import History
from everfit.tasks.triage.quality_signals import QualitySignal
from everfit.tasks.triage.signals import INFERRED_BOUND, DataSignal, LabelsSignal, Problem

BEYOND = broken(INFERRED_BOUND, "listings")
UNKNOWN = QualitySignal(status="not_enough", reason="no mature labels")
ONCE_BEFORE = History(windows=(past(4, broken=("listings",), verdict="quarantine", rule="bad_data"),))
LATE = quality(
    0.74, standard_error=0.05, window=Window(since=week(5).until - 1.2 * WEEK, until=week(5).until - 0.2 * WEEK)
)
"""Quality that nothing is sure of, on labels that come late, so that some are from before the window."""


def test_a_sure_loss_calls_a_turn_at_once_and_the_artifact_names_the_bound() -> None:
    decision = decide(signals(data=BEYOND, quality=SICK))
    assert (decision.verdict, decision.rule, decision.remembered.bounds_yield) == ("retrain", "realised_loss", True)
    assert any("listings: inferred_bound; everfit inferred this bound" in reason for reason in decision.reasons)


def test_without_a_loss_the_bound_holds_until_quality_is_measured_on_such_rows() -> None:
    assert decide(signals(5, data=BEYOND, quality=LATE)).rule == "bad_data"
    decision = decide(signals(5, data=BEYOND, quality=LATE), ONCE_BEFORE)
    assert (decision.rule, decision.remembered.bounds_yield) == ("yielding_bounds", True)


def test_then_a_turn_is_tried_by_cadence() -> None:
    many = LabelsSignal(status="measured", new_rows=5_000, unseen_rows=5_000)
    assert decide(signals(5, data=BEYOND, quality=LATE, labels=many)).rule == "bad_data"
    assert decide(signals(5, data=BEYOND, quality=LATE, labels=many), ONCE_BEFORE).rule == "enough_new_rows"


def test_a_bound_does_not_yield_to_what_is_not_measured() -> None:
    decision = decide(signals(5, data=BEYOND, quality=UNKNOWN), ONCE_BEFORE)
    assert (decision.rule, decision.remembered.bounds_yield) == ("bad_data", False)


def test_what_a_person_wrote_or_accepted_and_broken_feeds_stop_a_turn_as_before() -> None:
    for kind in ("expectation", "missing", "broken_sensor"):
        assert decide(signals(data=broken(kind, "listings"), quality=SICK)).rule == "bad_data"
    bound, sensor = BEYOND.bad[0], Problem(kind="broken_sensor", column="x", summary="x: one value")
    both = DataSignal(status="measured", rows=2_000, bad=(bound, sensor))
    assert decide(signals(data=both, quality=SICK)).rule == "bad_data"
