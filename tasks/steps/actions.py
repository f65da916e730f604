"""The actions after triage, as Prefect tasks: announce it, call a turn, roll back, note outcomes."""

from everfit.blocks.errors import LedgerError
from everfit.tasks.core.event_names import DRIFT_DETECTED, LIMIT_EXCEEDED, QUALITY_DEGRADED, RELEASE_ROLLED_BACK
from everfit.tasks.core.events import emit
from everfit.tasks.data.suite import keep_suite, suite_of, suite_yields, without_bounds
from everfit.tasks.incidents.recording import follow_up
from everfit.tasks.ledger import Release
from everfit.tasks.ledger.requests import RequestOutcome
from everfit.tasks.monitoring.champion_at import ROLLBACK, ChampionAt
from everfit.tasks.monitoring.kept_worth import kept_worth
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.monitoring.report import monitoring_report
from everfit.tasks.monitoring.report.report_process import REPORT_FILE
from everfit.tasks.monitoring.triage_history import OUTCOME, JudgedWindow, TurnOutcome, turn_outcomes
from everfit.tasks.monitoring.window_alert import QUIET_LOOKS, SUBJECT, window_alert
from everfit.tasks.registry.mlflow_links import model_link, run_link, run_page
from everfit.tasks.release import release
from everfit.tasks.steps import requests
from everfit.tasks.steps.artifacts import leave_page, leave_table
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.triage import VERDICTS, TriageDecision
from everfit.tasks.triage.signals import Signals

logger = step_logger("everfit.monitoring")

TRIAGE = "triage"
"""The actor of a rollback that triage decides."""


@step("decision", log="announce")
def notify(window: MonitoredWindow, signals: Signals, decision: TriageDecision, run_id: str, *, is_new: bool) -> None:
    """Show the window as an artifact, notify people of an incident, and emit the events of a new decision.

    Args:
        window: The window.
        signals: Its evidence.
        decision: The decision of triage.
        run_id: The MLflow run with the evidence.
        is_new: Whether the decision was not made before.

    Raises:
        ValueError: An event has a name that everfit doesn't document.

    Example:
        >>> everfit.tasks.notify(window, signals, decision, run_id, is_new=is_new)
    """
    monitored = window.monitored
    name = monitored.context.spec.name
    has_report = signals.drift.measured and window.draws_report
    run = run_link(monitored.context.mlflow, monitored.context.settings, run_id, REPORT_FILE if has_report else "")
    text = monitoring_report.window_page(signals, decision, run, has_report=has_report)
    if months := kept_worth(monitored.context.ledger, name):
        text += monitoring_report.worth_text(months)
    link = model_link(monitored.context.settings, name)
    leave_page(f"{name}-monitoring", text + link, f"{decision.verdict}: {decision.reasons[0]}")
    if signals.drift.measured and window.column_drift.columns:
        leave_table(f"{name}-drift", monitoring_report.drift_rows(window.column_drift), link=link)
    _tell_people(monitored, signals, decision, run_id, has_report=has_report)
    if not is_new:
        return
    facts = {"decision_id": decision.id, "until": monitored.until, "reference": decision.reference}
    if signals.drift.drifted:
        emit(DRIFT_DETECTED, name, columns=list(signals.drift.columns), **facts)
    if (decision.loss and decision.loss.lost) or (decision.estimated_loss and decision.estimated_loss.lost):
        diagnosis = signals.diagnosis.diagnosis
        cause = {} if diagnosis is None else {"cause": diagnosis.cause}
        emit(QUALITY_DEGRADED, name, rule=decision.rule, reasons=list(decision.reasons), **cause, **facts)
    if exceeded := [*signals.fairness.broken, *signals.calibration.broken]:
        emit(LIMIT_EXCEEDED, name, verdict=decision.verdict, rule=decision.rule, limits=exceeded, **facts)
    event = VERDICTS[decision.verdict].event
    if decision.notify and event is not None:
        emit(event, name, verdict=decision.verdict, rule=decision.rule, reasons=list(decision.reasons), **facts)


def _tell_people(
    monitored: MonitoredModel, signals: Signals, decision: TriageDecision, run_id: str, *, has_report: bool
) -> None:
    """Open, update or close the incident of the model's windows."""
    context = monitored.context
    alert = window_alert(
        signals,
        decision,
        [window.signals for window in monitored.judged],
        page=run_page(context.mlflow, context.settings, run_id) or "",
        picture=(run_page(context.mlflow, context.settings, run_id, REPORT_FILE) or "") if has_report else "",
    )
    follow_up(context, SUBJECT, alert, key=decision.id, at=monitored.until, quiet_looks=QUIET_LOOKS)


@step("decision", log="announce")
def yield_expectations(monitored: MonitoredModel, signals: Signals, decision: TriageDecision) -> tuple[str, ...]:
    """Let the inferred expectations yield to measured quality: to a harmless change, or for a turn that is called.

    Training would refuse such rows otherwise. Expectations that a person wrote or accepted stay.

    Args:
        monitored: The monitored model.
        signals: The evidence of the window.
        decision: The decision of triage.

    Returns:
        The columns whose bounds were removed.
    """
    spec, workspace = monitored.context.spec, monitored.context.workspace
    calls = VERDICTS[decision.verdict].calls_turn  # whose batch the bounds would refuse
    yields = decision.remembered.harmless or (decision.remembered.bounds_yield and calls)
    if not yields or not suite_yields(spec, workspace):
        return ()
    suite = suite_of(spec, workspace) or ()
    kept = without_bounds(suite, signals.data.broken)
    if len(kept) == len(suite):
        return ()
    keep_suite(spec, kept, workspace)
    changed = tuple(sorted({str(expectation.kwargs["column"]) for expectation in suite if expectation not in kept}))
    why = "the change is harmless" if decision.remembered.harmless else "measured quality decides"
    logger.info("the inferred expectations of %s are removed: %s", ", ".join(changed), why)
    return changed


@step("decision", log="retrain")
def call_turn(monitored: MonitoredModel, decision: TriageDecision) -> RequestOutcome | None:
    """Request the turn that a decision asks for; of many simultaneous requests, one may start it."""
    if not VERDICTS[decision.verdict].calls_turn:
        return None
    call = requests.request_for_decision(monitored.context, decision)
    logger.info("%s", call.reason)
    return call


@step("decision", log="retrain")
def start_deployment(monitored: MonitoredModel, call: RequestOutcome) -> bool:
    """Start the model's training deployment, if there is one, without waiting for it.

    A turn that was requested before, and whose process died before it began, is started too.

    Returns:
        Whether it was started; if not, the turn must run in this process.
    """
    assert call.turn_id is not None  # noqa: S101 - the turn was granted
    return requests.start_training(monitored.context, call.turn_id)


@step("decision", log="rollback")
def roll_back_champion(monitored: MonitoredModel, decision: TriageDecision) -> bool:
    """Make the previous champion the champion again, once; a release that came meanwhile stays.

    Returns:
        Whether the champion was rolled back, now, by another monitor, or by an interrupted run.
    """
    if decision.verdict != "roll_back":
        return False
    ledger, spec, champion = monitored.context.ledger, monitored.context.spec, monitored.champion
    current = ledger.releases.current(spec.name)
    if current is not None and current.version == champion.version:
        try:
            current = release.rollback(
                ledger,
                monitored.context.mlflow,
                spec.name,
                to=champion.previous_version,
                expected_previous=current.seq,
                reason=decision.reasons[0],
                actor=TRIAGE,
                policy=spec.release,
            )
        except LedgerError:
            current = ledger.releases.current(spec.name)
            if current is None or current.version == champion.version:
                raise
    recorded = [entry.record.get("seq") for entry in ledger.decisions.of(spec.name, kind=ROLLBACK)]
    if ledger.decisions.find(f"{decision.id}/rollback") is not None or (
        current is not None and current.seq in recorded
    ):
        return True
    if current is None or not _rolls_back(current, champion):
        logger.info("version %d is no longer the champion, and nothing was rolled back", champion.version)
        return False
    emit(RELEASE_ROLLED_BACK, spec.name, release=current)
    ledger.decisions.record(
        f"{decision.id}/rollback",
        model=spec.name,
        kind=ROLLBACK,
        verdict="roll_back",
        until=monitored.until,
        reasons=decision.reasons,
        record={"seq": current.seq, "version": current.version},
    )
    return True


def _rolls_back(entry: Release, champion: ChampionAt) -> bool:
    """Return whether a release is triage's rollback of a champion."""
    facts = (entry.kind, entry.actor, entry.version, entry.previous_version)
    return facts == ("rollback", TRIAGE, champion.previous_version, champion.version)


@step("decision", log="outcome")
def note_outcomes(monitored: MonitoredModel, signals: Signals, decision: TriageDecision) -> tuple[TurnOutcome, ...]:
    """Record whether the turns that triage called have helped, once that is known.

    Returns:
        The outcomes that were not known before.
    """
    ledger, name = monitored.context.ledger, monitored.context.spec.name
    triages = (*monitored.triages, JudgedWindow(signals=signals, decision=decision))
    new_outcomes = []
    for outcome in turn_outcomes(triages, monitored.turns):
        decision_id = f"{outcome.decision_id}/outcome"
        if ledger.decisions.find(decision_id) is not None:
            continue
        ledger.decisions.record(
            decision_id,
            model=name,
            kind=OUTCOME,
            verdict="helped" if outcome.helped else "did_not_help",
            until=monitored.until,
            reasons=(outcome.summary,),
            record=outcome,
            turn_id=outcome.turn_id,
        )
        logger.info("%s", outcome.summary)
        new_outcomes.append(outcome)
    return tuple(new_outcomes)
