"""What is made of a window's evidence, as Prefect tasks: the run that keeps it, the report of it, the decision."""

import logging

from prefect import task
from prefect.cache_policies import NO_CACHE

from everfit.tasks.monitoring.monitored_model import Watched
from everfit.tasks.monitoring.monitoring import attempt
from everfit.tasks.monitoring.report.report_process import Drawing
from everfit.tasks.monitoring.signals.drift import DriftResult
from everfit.tasks.monitoring.triage_history import TRIAGE, Judged, history_of
from everfit.tasks.monitoring.window import Live
from everfit.tasks.predictions.prediction_log import PREDICTION
from everfit.tasks.registry import tracking
from everfit.tasks.statistics.estimate_trust import PastEstimate
from everfit.tasks.triage import TriageDecision, triage
from everfit.tasks.triage.case import TriagePolicy
from everfit.tasks.triage.signals import DriftSignal, Signals

logger = logging.getLogger("everfit.monitoring")


@task(cache_policy=NO_CACHE)
def open_run(watched: Watched) -> str:
    """The MLflow run of the window, the same one however often it is looked at."""
    context = watched.context
    window = f"{context.spec.name}-{watched.until:%Y%m%dT%H%M%S}"
    return tracking.turn_run(context.mlflow, context.settings, f"{context.spec.name}-monitoring", window)


@task(cache_policy=NO_CACHE)
def begin_report(watched: Watched, live: Live, result: DriftResult | None) -> Drawing | None:
    """Let Evidently's report of the window be drawn beside what follows; none where there is nothing to compare."""
    policy = watched.context.spec.monitoring
    if policy.report == "never" or result is None or result.drifted is None:
        return None
    names = [c.name for c in watched.reference.profile.columns if c.name != PREDICTION or c.kind == "numeric"]
    # Evidently draws rows in their order, which is to be that of time.
    before = watched.reference.sample.sort_values(watched.context.spec.columns.time, kind="stable")
    now = live.sample.sort_values(watched.event_time, kind="stable")
    columns = [n for n in names if n in before and n in now and not policy.ignored(n)]
    return Drawing.begin(before, now, policy, columns=columns, result=result)


@task(cache_policy=NO_CACHE)
def keep_report(watched: Watched, drawing: Drawing | None, found: DriftSignal, run_id: str) -> DriftSignal:
    """Keep the report with the window's run; where it could not be drawn, drift is not known."""
    if drawing is None:
        return found

    def kept() -> DriftSignal:
        watched.context.mlflow.log_artifact(run_id, str(drawing.wait()))
        return found

    try:
        return attempt(kept, DriftSignal)
    finally:
        drawing.end()


@task(cache_policy=NO_CACHE)
def decide(
    watched: Watched, signals: Signals, estimate: PastEstimate | None, run_id: str
) -> tuple[TriageDecision, bool]:
    """Triage, and write the decision into the ledger.

    Returns:
        The decision, and whether it is a new one.
    """
    context, spec = watched.context, watched.context.spec
    history = history_of(watched.triages, watched.turns, watched.until)
    policy = TriagePolicy(
        monitoring=spec.monitoring, retraining=spec.retraining, rollback_within=spec.release.rollback_within
    )
    decision = triage(signals, history, policy)
    new = context.ledger.decisions.find(decision.id) is None
    record = Judged(signals=signals, decision=decision, estimate=estimate)
    context.ledger.decisions.record(
        decision.id,
        model=spec.name,
        kind=TRIAGE,
        verdict=decision.verdict,
        until=watched.until,
        reasons=decision.reasons,
        record=record.model_dump(mode="json"),
    )
    context.mlflow.log_dict(run_id, record.model_dump(mode="json"), "triage.json")
    logger.info("triage    %s (%s): %s", decision.verdict, decision.rule, decision.reasons[0])
    return decision, new
