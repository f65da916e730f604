"""The months of the demo as they turned out: what was found and decided, and how good the answers were."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from everfit.deployments.demo_data import MODEL

if TYPE_CHECKING:
    import pandas as pd

    from everfit.tasks.context import Context
    from everfit.tasks.scoring import Scorer

FIRST = datetime(2013, 3, 1, tzinfo=UTC)
"""The first turn learns from January and February."""

ENDS = (*(datetime(2013, month, 1, tzinfo=UTC) for month in range(4, 13)), datetime(2014, 1, 1, tzinfo=UTC))
"""The end of each month that is lived through."""


@dataclass(frozen=True)
class Month:
    """One month of the demo.

    Attributes:
        since: Its beginning.
        until: Its end, at which it was looked at.
        flights: That were predicted.
        champion: The version that predicted them.
        live: The champion's metric on those that have landed.
        frozen: The same of the first model.
        verdict: Of the triage at the end of the month.
        why: Its first reason.
        signals: What was seen, in a few words.
        turn: How the turn ended that the triage called for; empty without one.
        run_id: The MLflow run of the window, with Evidently's report.
    """

    since: datetime
    until: datetime
    flights: int
    champion: int
    live: float
    frozen: float
    verdict: str
    why: str
    signals: str
    turn: str
    run_id: str


def measure(context: "Context", ends: tuple[datetime, ...]) -> list[Month]:
    """Look back on the months, with all labels that have come since.

    Args:
        context: The demo's model.
        ends: The end of each month.
    """
    from everfit.tasks.past import TRIAGE, Judged

    decisions = {
        entry.until: Judged.model_validate(entry.record) for entry in context.ledger.decisions(MODEL, kind=TRIAGE)
    }
    first = _scorer(context, context.ledger.releases(MODEL)[0].version)
    months = []
    for since, until in zip((FIRST, *ends), ends, strict=False):
        judged = decisions[until]
        rows = _labelled(context, since, until)
        turn = next((turn for turn in context.ledger.turns(MODEL) if turn.trigger.id == judged.decision.id), None)
        months.append(
            Month(
                since=since,
                until=until,
                flights=int(rows["_flights"].iloc[0]),
                champion=int(rows["_model_version"].iloc[-1]),
                live=_auc(rows, rows["_score"]),
                frozen=_auc(rows, _scores(first, rows)),
                verdict=judged.decision.verdict,
                why=judged.decision.reasons[0],
                signals=_in_words(judged),
                turn="" if turn is None else turn.state,
                run_id=_run_of(context, until),
            )
        )
    return months


def _labelled(context: "Context", since: datetime, until: datetime) -> "pd.DataFrame":
    from everfit.tasks import labels
    from everfit.tasks.records import Window

    table, log = context.workspace.table(MODEL, "labels"), context.workspace.table(MODEL, "predictions")
    window, event_time = Window(since=since, until=until), str(context.spec.columns.event_time)
    rows = labels.read_labelled(log, table, window, event_time, ENDS[-1])
    known = rows[rows["_label"].notna()].reset_index(drop=True)
    return known.assign(_flights=len(rows))


def _scorer(context: "Context", version: int) -> "Scorer":
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from mlflow.artifacts import download_artifacts

    from everfit.tasks import registry, scoring

    target = registry.model_version(context.mlflow, MODEL, version)
    uri = context.mlflow.get_model_version_download_uri(MODEL, str(version))
    with TemporaryDirectory() as folder:
        found = download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=context.mlflow.tracking_uri)
        return scoring.read_scorer(Path(found), target)


def _scores(scorer: "Scorer", rows: "pd.DataFrame") -> Any:
    inputs = scorer.inputs.model_copy(update={"key": ()})
    names = [column.name for column in inputs.features]
    return scorer.score(inputs.conform(rows[names])[names]).score


def _auc(rows: "pd.DataFrame", scores: Any) -> float:
    from everfit.tasks.metrics import metric

    return metric("roc_auc").score(rows["_label"].astype("int64").to_numpy(), scores)


def _in_words(judged: Any) -> str:
    signals, loss = judged.signals, judged.decision.loss
    moved = "drift unknown" if signals.drift.share is None else f"{signals.drift.share:.0%} of features moved"
    if strange := len({each.column for each in (*signals.data.bad, *signals.data.suspicious)}):
        moved += f", {strange} beyond what was known"
    if loss is None:
        return f"{moved}; quality unknown"
    return f"{moved}; AUC {abs(loss.loss):.3f} {'below' if loss.loss > 0 else 'above'} the hold-out's"


def _run_of(context: "Context", until: datetime) -> str:
    from everfit.tasks import tracking

    window = f"{MODEL}-{until:%Y%m%dT%H%M%S}"
    return tracking.turn_run(context.mlflow, context.settings, f"{MODEL}-monitoring", window)
