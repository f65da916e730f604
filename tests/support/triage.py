"""Signals of a window in which nothing happens, and what may be otherwise in them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from everfit.blocks.live_limits import LiveFairnessPolicy
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.triage import TriageDecision, triage
from everfit.tasks.triage.case import TriagePolicy, sign
from everfit.tasks.triage.history import History, PastQuality, PastTurn, PastWindow
from everfit.tasks.triage.limit_signals import FairnessSignal, LimitedFigure
from everfit.tasks.triage.quality_signals import Baseline, QualitySignal
from everfit.tasks.triage.signals import ChampionReference, DataSignal, DriftSignal, LabelsSignal, Problem, Signals

WEEK = timedelta(days=7)
START = datetime(2013, 3, 4, tzinfo=UTC)
HOLDOUT = Baseline(value=0.75, standard_error=0.008, rows=4_000, chance=0.5)


def week(number: int) -> Window:
    return Window(since=START + number * WEEK, until=START + (number + 1) * WEEK)


def reference(**changes: Any) -> ChampionReference:
    facts: dict[str, Any] = {
        "version": 3,
        "id": "reference-3",
        "released": START - 8 * WEEK,
        "trained_until": START - 8 * WEEK,
        "training_rows": 20_000,
        "previous_version": 2,
    }
    return ChampionReference(**(facts | changes))


def quality(value: float = 0.75, number: int = 0, **changes: Any) -> QualitySignal:
    facts: dict[str, Any] = {
        "status": "measured",
        "metric": "roc_auc",
        "window": week(number),
        "rows": 2_000,
        "value": value,
        "standard_error": 0.012,
        "chance": 0.5,
        "baseline": HOLDOUT,
        "coverage": 0.97,
        "usual_coverage": 0.97,
    }
    return QualitySignal(**(facts | changes))


def signals(number: int = 0, **changes: Any) -> Signals:
    facts: dict[str, Any] = {
        "model": "flights",
        "window": week(number),
        "reference": reference(),
        "data": DataSignal(status="measured", rows=2_100, expected_rows=2_000),
        "drift": DriftSignal(status="measured", drifted=False, share=0.0, prediction=False),
        "quality": quality(number=number),
        "labels": LabelsSignal(status="measured", new_rows=2_000),
    }
    return Signals(**(facts | changes))


def drifted(*columns: str) -> DriftSignal:
    return DriftSignal(status="measured", drifted=True, columns=columns, share=0.5, prediction=False)


def past(number: int, **changes: Any) -> PastWindow:
    facts: dict[str, Any] = {
        "window": week(number),
        "reference": "reference-3",
        "verdict": "healthy",
        "rule": "healthy",
        "signature": sign("healthy"),
        "drifted": False,
        "quality": PastQuality(window=week(number), metric="roc_auc", rows=2_000, loss=0.0, standard_error=0.012),
    }
    return PastWindow(**(facts | changes))


def attempt(number: int, outcome: str = "kept", **changes: Any) -> PastTurn:
    facts: dict[str, Any] = {
        "turn_id": f"turn-{number}",
        "until": week(number).until,
        "kind": "quality",
        "signature": sign("loss", "roc_auc"),
        "reference": "reference-3",
        "outcome": outcome,
        "loss": 0.1,
    }
    return PastTurn(**(facts | changes))


def decide(
    found: Signals, history: History | None = None, monitoring: MonitoringPolicy | None = None, **retraining: Any
) -> TriageDecision:
    policy = TriagePolicy(retraining=RetrainingPolicy(**retraining), monitoring=monitoring or MonitoringPolicy())
    return triage(found, history or History(), policy)


def parity(low: float) -> FairnessSignal:
    """The groups of a protected column differ by at least so much, and at most .1 is allowed."""
    figure = LimitedFigure(
        name="parity_of_sex",
        label="demographic parity difference of sex",
        value=low + 0.05,
        low=low,
        high=low + 0.1,
        rows=2_000,
        limit=0.1,
        groups=("f", "m"),
    )
    return FairnessSignal(status="measured", figures=(figure,))


def fair(when_broken: str = "escalate") -> MonitoringPolicy:
    """The limit of `parity`, and what follows when it is exceeded."""
    limits = {"max_demographic_parity_difference": 0.1, "when_broken": when_broken}
    return MonitoringPolicy(fairness=LiveFairnessPolicy.model_validate(limits))


def broken(kind: str, column: str) -> DataSignal:
    problem = Problem(kind=kind, column=column, summary=f"{column}: {kind}")
    return DataSignal(status="measured", rows=2_000, expected_rows=2_000, bad=(problem,))


SIX = drifted("temp", "humid", "wind_speed", "pressure", "visib", "precip")
SICK = quality(0.65)
