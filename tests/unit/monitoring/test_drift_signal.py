"""What drift means: by columns, by what no column shows, and what is the model's own doing."""

from typing import Any

import pytest
from support.triage import decide, drifted, past, signals, week

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.monitoring.signals.drift import ColumnDrift, DriftResult
from everfit.tasks.monitoring.signals.explanation_drift import explanation_drift
from everfit.tasks.monitoring.signals.whole_drift import drift_signal, new_drift
from everfit.tasks.monitoring.triage_history import JudgedWindow
from everfit.tasks.triage import triage
from everfit.tasks.triage.case import TriagePolicy
from everfit.tasks.triage.history import History
from everfit.tasks.triage.signals import DriftSignal

POLICY = MonitoringPolicy()
MOVED = explanation_drift({"a": 1.0, "b": 0.1}, {"a": 0.1, "b": 1.0}, POLICY)
STAYED = explanation_drift({"a": 1.0}, {"a": 2.0}, POLICY)


def column(name: str, drifted: bool) -> ColumnDrift:
    return ColumnDrift(
        column=name,
        role="prediction" if name == "_score" else "feature",
        kind="numeric",
        status="compared",
        drifted=drifted,
        method="psi",
        threshold=0.1,
        effect=0.4 if drifted else 0.01,
        missing_reference=0,
        missing_current=0,
        summary="so it is",
    )


def result(features: int = 0, prediction: bool = False) -> DriftResult:
    """Of four features so many have drifted."""
    drifted = features >= 2 or prediction
    return DriftResult(
        status="drift" if drifted else "no_drift",
        drifted=drifted,
        columns=(*(column(f"x{n}", n < features) for n in range(4)), column("_score", prediction)),
        drifted_share=features / 4,
        prediction_drifted=prediction,
        rows=500,
        reference_rows=500,
        profile="p",
    )


def signal(found: DriftResult, **more: Any) -> DriftSignal:
    return drift_signal(found, policy=POLICY, **more)


def test_explanations_alone_are_drift_and_are_told() -> None:
    assert signal(result(), explained=STAYED).drifted is False
    actual = signal(result(), explained=MOVED)
    assert (actual.drifted, actual.beside) == (True, (MOVED.summary,))
    assert MOVED.summary in actual.reason


FIRST = DriftSignal(status="measured", drifted=False, prediction=True, share=0.0)


@pytest.mark.parametrize("first", [None, FIRST])
def test_a_model_that_was_refitted_may_answer_otherwise_from_its_first_window_on(first: DriftSignal | None) -> None:
    actual = signal(result(prediction=True), first=first, refitted=True)
    assert (actual.drifted, actual.prediction) == (False, True)
    assert "fitted" in actual.reason or "first window" in actual.reason


@pytest.mark.parametrize(
    ("found", "more"),
    [
        (result(prediction=True), {"refitted": False}),
        (result(prediction=True), {"refitted": True, "first": FIRST.model_copy(update={"prediction": False})}),
        (result(prediction=True), {"refitted": True, "first": FIRST.model_copy(update={"share": 0.5})}),
        (result(features=2, prediction=True), {"refitted": True, "first": FIRST}),
        (result(prediction=True), {"refitted": True, "first": FIRST, "explained": MOVED}),
    ],
)
def test_predictions_that_began_to_move_are_drift(found: DriftResult, more: dict[str, Any]) -> None:
    assert signal(found, **more).drifted is True


def test_drift_that_has_persisted_is_not_new() -> None:
    policy = MonitoringPolicy()

    def earlier(number: int, *columns: str) -> JudgedWindow:
        actual = signals(number, drift=drifted(*columns))
        return JudgedWindow(signals=actual, decision=triage(actual, History(), TriagePolicy()))

    before = [earlier(0), earlier(1, "temp"), earlier(2, "temp", "humid")]
    assert new_drift(drifted("temp", "humid"), before, week(3), policy) == ("humid",)
    assert new_drift(drifted("temp"), before, week(3), policy) == ()
    assert new_drift(drifted("temp"), before[:2], week(2), policy) == ("temp",)
    assert new_drift(drifted("temp"), before, week(2), policy) == ("temp",)  # of windows that share no rows
    explained = drifted("temp").model_copy(update={"beside": ("explanations differ",)})
    assert new_drift(explained, before, week(3), policy) == ("explanations differ",)


def test_known_drift_is_said_and_not_watched() -> None:
    known = drifted("temp", "humid").model_copy(update={"new": ()})
    some = drifted("temp", "humid").model_copy(update={"new": ("humid",)})
    windows = History(windows=tuple(past(number, drifted=True) for number in range(3)))
    healthy, watched = (decide(signals(3, drift=actual), windows) for actual in (known, some))
    assert (healthy.verdict, watched.rule) == ("healthy", "persistent_drift")
    assert "no drift is new; as in earlier windows: temp, humid" in healthy.reasons
    assert "(new: humid)" in watched.reasons[0]
