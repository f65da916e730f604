"""What may start or hold back a turn, by name: signals, history, changes of the policy; and the verdict and rule."""

from datetime import timedelta
from typing import Any

from support.triage import HOLDOUT, SICK, attempt, quality, signals, week

from everfit.tasks.triage.history import History
from everfit.tasks.triage.signals import LabelsSignal, Signals

TURNS: dict[str, tuple[Signals, History, dict[str, Any], str, str]] = {
    # Retrainings that did not help.
    "tried in the last window": (
        signals(5, quality=quality(0.65, 5)),
        History(turns=(attempt(4, until=week(4).until + timedelta(days=1)),)),
        {},
        "watch",
        "backing_off",
    ),
    "tried a window ago": (
        signals(5, quality=quality(0.65, 5)),
        History(turns=(attempt(4),)),
        {},
        "retrain",
        "realised_loss",
    ),
    "tried twice": (
        signals(5, quality=quality(0.65, 5)),
        History(turns=(attempt(3), attempt(4))),
        {},
        "watch",
        "backing_off",
    ),
    "tried three times": (
        signals(9, quality=quality(0.65, 9)),
        History(turns=(attempt(3), attempt(4), attempt(6))),
        {},
        "escalate",
        "retraining_in_vain",
    ),
    "turns that broke off three times": (
        signals(9, quality=quality(0.65, 9)),
        History(turns=tuple(attempt(n, "failed", reason="MemoryError") for n in (6, 7, 8))),
        {},
        "escalate",
        "failing_turns",
    ),
    "tried three times, and long ago": (
        signals(10, quality=quality(0.65, 10)),
        History(turns=(attempt(3), attempt(4), attempt(6))),
        {},
        "retrain",
        "realised_loss",
    ),
    "tried as often as is allowed": (
        signals(80, quality=quality(0.65, 80)),
        History(turns=tuple(attempt(n) for n in (3, 4, 6, 10, 18, 34))),
        {"max_attempts": 6},
        "escalate",
        "retraining_in_vain",
    ),
    "a retraining won back half": (
        signals(9, quality=quality(0.69, 9, baseline=HOLDOUT.model_copy(update={"value": 0.69}))),
        History(turns=(attempt(6, "promoted", reference="reference-2", level=HOLDOUT),)),
        {},
        "retrain",
        "unrecovered_loss",
    ),
    "a retraining won it back": (
        signals(9),
        History(turns=(attempt(6, "promoted", reference="reference-2", level=HOLDOUT),)),
        {},
        "healthy",
        "healthy",
    ),
    "tried three times, but with a champion since replaced": (
        signals(9, quality=quality(0.65, 9)),
        History(turns=tuple(attempt(n, reference="reference-2") for n in (3, 4, 6))),
        {},
        "retrain",
        "realised_loss",
    ),
    "tried at a loss half as deep": (
        signals(9, quality=quality(0.60, 9)),
        History(turns=tuple(attempt(n, loss=0.05) for n in (3, 4, 6))),
        {},
        "retrain",
        "realised_loss",
    ),
    "promoted three times, and each time it did not help": (
        signals(9, quality=quality(0.65, 9)),
        History(turns=tuple(attempt(n, "promoted", helped=False, reference=f"reference-{n}") for n in (3, 4, 6))),
        {},
        "escalate",
        "retraining_in_vain",
    ),
    "promoted three times, and it helped": (
        signals(9, quality=quality(0.65, 9)),
        History(turns=tuple(attempt(n, "promoted", helped=True, reference=f"reference-{n}") for n in (3, 4, 6))),
        {},
        "retrain",
        "realised_loss",
    ),
    "nothing to learn from": (
        signals(quality=SICK, labels=LabelsSignal(status="measured", new_rows=0)),
        History(),
        {},
        "escalate",
        "nothing_to_learn",
    ),
    # Worth it.
    "not worth a turn": (
        signals(quality=SICK),
        History(),
        {"cost_benefit": {"value_per_metric_unit": 0.01, "unit": "EUR", "cost_per_turn": 1_000}},
        "watch",
        "not_worth_it",
    ),
    "worth a turn": (
        signals(quality=SICK),
        History(),
        {"cost_benefit": {"value_per_metric_unit": 2.0, "unit": "EUR", "cost_per_turn": 1_000}},
        "retrain",
        "realised_loss",
    ),
}
