"""The results of each month of the demo: signals, decision, and quality of the predictions."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from everfit.deployments.demo.data import MODEL

if TYPE_CHECKING:
    import pandas as pd

    from everfit.tasks.scoring.scorer import Scorer
    from everfit.tasks.turns.context import Context

FIRST = datetime(2013, 3, 1, tzinfo=UTC)
"""The first turn trains on January and February."""

ENDS = (*(datetime(2013, month, 1, tzinfo=UTC) for month in range(4, 13)), datetime(2014, 1, 1, tzinfo=UTC))
"""The end of each month of the replay."""


@dataclass(frozen=True)
class Month:
    """One month of the demo.

    Attributes:
        since: The beginning of the month.
        until: The end of the month, the time of its monitoring run.
        flights: The number of predicted flights.
        champion: The version that predicted them.
        live: The metric of the champion on the flights that have landed.
        frozen: The same metric of the first model.
        verdict: The verdict of triage at the end of the month.
        reason: The first reason of the verdict.
        moved: The share of features that have drifted, and how many drifted columns are new.
        against_holdout: The metric at the month's end, less the expectation from the champion's hold-out.
        turn: The state of the turn that triage started; empty without one.
        run_id: The MLflow run of the window, with Evidently's report.
    """

    since: datetime
    until: datetime
    flights: int
    champion: int
    live: float
    frozen: float
    verdict: str
    reason: str
    moved: str
    against_holdout: str
    turn: str
    run_id: str


def measure(context: "Context", ends: tuple[datetime, ...]) -> list[Month]:
    """Return the results of the months, with all labels that are known by now.

    Args:
        context: The demo's model.
        ends: The end of each month.
    """
    from everfit.tasks.monitoring.triage_history import TRIAGE, JudgedWindow

    decisions = {
        entry.until: JudgedWindow.recall(entry.record) for entry in context.ledger.decisions.of(MODEL, kind=TRIAGE)
    }
    first = _scorer(context, context.ledger.releases.of(MODEL)[0].version)
    everything, event_time = _labelled(context, ends[-1]), str(context.spec.columns.event_time)
    months = []
    for since, until in zip((FIRST, *ends), ends, strict=False):
        judged = decisions[until]
        predicted = everything[(everything[event_time] >= since) & (everything[event_time] < until)]
        rows = predicted[predicted["_label"].notna()].reset_index(drop=True)
        turn = next((turn for turn in context.ledger.turns.of(MODEL) if turn.trigger.id == judged.decision.id), None)
        months.append(
            Month(
                since=since,
                until=until,
                flights=len(predicted),
                champion=int(rows["_model_version"].iloc[-1]),
                live=_auc(rows, rows["_score"]),
                frozen=_auc(rows, _scores(first, rows)),
                verdict=judged.decision.verdict,
                reason=judged.decision.reasons[0],
                moved=_moved(judged),
                against_holdout=_against_holdout(judged),
                turn="" if turn is None else turn.state,
                run_id=_run_of(context, until),
            )
        )
    return months


def _labelled(context: "Context", until: datetime) -> "pd.DataFrame":
    from everfit.tasks.core.records import Window
    from everfit.tasks.predictions import labels

    table, log = context.workspace.table(MODEL, "labels"), context.workspace.table(MODEL, "predictions")
    window, event_time = Window(since=FIRST, until=until), str(context.spec.columns.event_time)
    return labels.read_labelled(log, table, window, event_time, ENDS[-1])


def _scorer(context: "Context", version: int) -> "Scorer":
    from everfit.tasks.registry import model_registry
    from everfit.tasks.scoring.loading import load_scorer

    target = model_registry.model_version(context.mlflow, MODEL, version)
    return load_scorer(context.mlflow, context.ledger, target)


def _scores(scorer: "Scorer", rows: "pd.DataFrame") -> Any:
    inputs = scorer.inputs.model_copy(update={"key": ()})
    names = [column.name for column in inputs.features]
    return scorer.score(inputs.conform(rows[names])[names]).score


def _auc(rows: "pd.DataFrame", scores: Any) -> float:
    from everfit.tasks.statistics.metrics import metric

    return metric("roc_auc").score(rows["_label"].astype("int64").to_numpy(), scores)


def _moved(judged: Any) -> str:
    drift = judged.signals.drift
    if drift.share is None:
        return "-"
    return f"{drift.share:.0%}" + ("" if drift.new is None else f", {len(set(drift.new) & set(drift.columns))} new")


def _against_holdout(judged: Any) -> str:
    loss = judged.decision.loss
    return "-" if loss is None else f"{-loss.loss:+.3f}"


def _run_of(context: "Context", until: datetime) -> str:
    from everfit.tasks.registry import tracking

    window = f"{MODEL}-{until:%Y%m%dT%H%M%S}"
    return tracking.turn_run(context.mlflow, context.settings, f"{MODEL}-monitoring", window)
