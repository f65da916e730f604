"""What a window may show, by name: signals, history, changes of the policy; and the verdict and rule it gets."""

from datetime import timedelta
from typing import Any

from support.triage import HOLDOUT, SICK, SIX, START, broken, past, quality, reference, signals

from everfit.tasks.core.answer_bounds import AnswerBounds
from everfit.tasks.core.records import Window
from everfit.tasks.triage.history import History
from everfit.tasks.triage.interval_signal import IntervalSignal
from everfit.tasks.triage.quality_signals import EstimateSignal, PreviousSignal, QualitySignal
from everfit.tasks.triage.signals import (
    INFERRED_BOUND,
    DataSignal,
    DriftSignal,
    LabelsSignal,
    ServiceHealthSignal,
    Signals,
)

NARROW = IntervalSignal(
    status="measured",
    promised=0.9,
    window=Window(since=START, until=START + timedelta(days=7)),
    rows=500,
    covered=0.8,
    standard_error=0.018,
    size=12.5,
    regression=True,
    adapted=AnswerBounds(promised=0.9, miss_rate=0.075, bound=2.4, rows=1_500, adapted_until=START + timedelta(days=7)),
)

WINDOWS: dict[str, tuple[Signals, History, dict[str, Any], str, str]] = {
    "nothing happens": (signals(), History(), {}, "healthy", "healthy"),
    # Planted faults.
    "broken sensor, with drift and loss": (
        signals(data=broken("implausible", "temp"), drift=SIX, quality=SICK),
        History(),
        {},
        "quarantine",
        "bad_data",
    ),
    "renamed category": (
        signals(data=broken("unseen", "carrier"), quality=SICK),
        History(),
        {},
        "quarantine",
        "bad_data",
    ),
    "frozen feed": (signals(data=broken("frozen", "wind_speed")), History(), {}, "quarantine", "bad_data"),
    "six columns are constant for good, quality is as before": (
        signals(5, data=broken("frozen", "wind_speed")),
        History(windows=tuple(past(n, broken=("wind_speed",), verdict="quarantine", rule="bad_data") for n in (3, 4))),
        {},
        "watch",
        "harmless_change",
    ),
    "beyond an inferred bound for good, quality is not known to be as before": (
        signals(5, data=broken(INFERRED_BOUND, "gusts"), quality=quality(0.74, 5, standard_error=0.05)),
        History(windows=tuple(past(n, broken=("gusts",), verdict="quarantine", rule="bad_data") for n in (3, 4))),
        {},
        "watch",
        "yielding_bounds",
    ),
    "labels that stop": (
        signals(
            quality=QualitySignal(status="not_enough", reason="no mature labels", coverage=0.0, usual_coverage=0.97),
            labels=LabelsSignal(status="measured", new_rows=0),
        ),
        History(),
        {},
        "escalate",
        "missing_labels",
    ),
    "covariate shift, model stays perfect": (
        signals(5, drift=SIX),
        History(windows=tuple(past(n, drifted=True, verdict="watch") for n in range(5))),
        {},
        "watch",
        "persistent_drift",
    ),
    "first window of drift": (signals(drift=SIX), History(), {}, "watch", "uncertain"),
    "label shift without loss": (
        signals(drift=DriftSignal(status="measured", drifted=True, columns=("prediction",), prediction=True)),
        History(),
        {},
        "watch",
        "uncertain",
    ),
    "concept shift, inputs don't move": (signals(quality=SICK), History(), {}, "retrain", "realised_loss"),
    "drift with loss": (signals(drift=SIX, quality=SICK), History(), {}, "retrain", "realised_loss"),
    "feed is silent": (
        signals(
            data=DataSignal(status="not_enough", rows=0, expected_rows=2_000),
            drift=DriftSignal(status="not_enough"),
            quality=QualitySignal(status="not_enough"),
        ),
        History(),
        {},
        "escalate",
        "silent_feed",
    ),
    # What isn't known is not healthy.
    "data checks broke": (
        signals(data=DataSignal(status="failed", reason="boom"), quality=SICK),
        History(),
        {},
        "escalate",
        "unknown_data",
    ),
    "drift broke": (
        signals(drift=DriftSignal(status="failed", reason="boom")),
        History(),
        {},
        "escalate",
        "failed_evidence",
    ),
    "quality broke": (
        signals(quality=QualitySignal(status="failed", reason="boom")),
        History(),
        {},
        "escalate",
        "failed_evidence",
    ),
    "quality absent": (signals(quality=QualitySignal()), History(), {}, "watch", "unmeasured"),
    "drift absent": (signals(drift=DriftSignal()), History(), {}, "watch", "unmeasured"),
    "data absent": (signals(data=DataSignal()), History(), {}, "watch", "unmeasured"),
    "the service is in trouble": (
        signals(operations=ServiceHealthSignal(status="measured", alarms=("error rate 12 %",))),
        History(),
        {},
        "watch",
        "uncertain",
    ),
    "intervals have the true value less often than promised": (
        signals(intervals=NARROW),
        History(),
        {},
        "watch",
        "uncertain",
    ),
    # Biased labels, small losses, estimates.
    "early labels are biased": (
        signals(quality=quality(0.6, biased=True)),
        History(),
        {},
        "watch",
        "uncertain",
    ),
    "loss within the bound": (signals(quality=quality(0.73)), History(), {}, "healthy", "healthy"),
    "loss that may be chance": (
        signals(quality=quality(0.715, standard_error=0.03)),
        History(),
        {},
        "watch",
        "uncertain",
    ),
    "estimated loss, no labels": (
        signals(
            quality=QualitySignal(status="not_enough", reason="labels take 60 days"),
            estimate=EstimateSignal(
                status="measured",
                method="cbpe",
                metric="roc_auc",
                rows=5_000,
                value=0.62,
                standard_error=0.01,
                trust=0.8,
                baseline=HOLDOUT,
            ),
        ),
        History(),
        {},
        "retrain",
        "estimated_loss",
    ),
    "estimated loss by an estimator that was wrong": (
        signals(
            quality=QualitySignal(status="not_enough", reason="labels take 60 days"),
            estimate=EstimateSignal(
                status="measured",
                method="cbpe",
                metric="roc_auc",
                rows=5_000,
                value=0.62,
                standard_error=0.01,
                trust=0.2,
                baseline=HOLDOUT,
            ),
        ),
        History(),
        {},
        "watch",
        "uncertain",
    ),
    "estimated loss that labels deny": (
        signals(
            estimate=EstimateSignal(
                status="measured",
                method="cbpe",
                metric="roc_auc",
                rows=5_000,
                value=0.62,
                standard_error=0.01,
                trust=0.8,
                baseline=HOLDOUT,
            ),
        ),
        History(),
        {},
        "watch",
        "uncertain",
    ),
    # Releases.
    "bad release": (
        signals(
            quality=SICK,
            reference=reference(released=START),
            previous=PreviousSignal(status="measured", version=2, rows=2_000, gain=0.09, p_value=1e-6),
        ),
        History(),
        {},
        "roll_back",
        "bad_release",
    ),
    "loss after a release, the one before is no better": (
        signals(
            quality=SICK,
            reference=reference(released=START),
            previous=PreviousSignal(status="measured", version=2, rows=2_000, gain=0.002, p_value=0.4),
        ),
        History(),
        {},
        "retrain",
        "realised_loss",
    ),
    "loss long after a release": (
        signals(
            quality=SICK, previous=PreviousSignal(status="measured", version=2, rows=2_000, gain=0.09, p_value=1e-6)
        ),
        History(),
        {},
        "retrain",
        "realised_loss",
    ),
}
