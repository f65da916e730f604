"""The decision about a window, as Prefect tasks: its MLflow run, its drift report, and triage."""

import contextlib
import re
from typing import TYPE_CHECKING

from prefect import runtime

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.policy import format_duration
from everfit.tasks.diagnosis.page import DIAGNOSIS_FILE, diagnosis_page
from everfit.tasks.monitoring.evidence import attempt
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.monitoring.report.monitoring_report import column_distances
from everfit.tasks.monitoring.report.report_process import REPORT_FILE, ReportJob
from everfit.tasks.monitoring.timeline import log_timeline, timeline_numbers
from everfit.tasks.monitoring.triage_history import TRIAGE, JudgedWindow, history_of
from everfit.tasks.monitoring.window_columns import keep_columns
from everfit.tasks.predictions.prediction_log import PREDICTION
from everfit.tasks.registry import tracking
from everfit.tasks.registry.bounds_tag import write_bounds
from everfit.tasks.statistics.estimate_trust import PastEstimate
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.steps.window import look_basis
from everfit.tasks.triage import TriageDecision, triage
from everfit.tasks.triage.case import TriagePolicy
from everfit.tasks.triage.signals import DriftSignal, Signals

if TYPE_CHECKING:
    from mlflow.entities import Param, RunTag

logger = step_logger("everfit.monitoring")


@step("network", log="triage")
def open_window_run(monitored: MonitoredModel) -> str:
    """Return the MLflow run of the window; a window that is measured again keeps its run.

    Args:
        monitored: The monitored model.

    Returns:
        The id of the run.

    Raises:
        MlflowException: MLflow can't be reached.

    Example:
        >>> run_id = everfit.tasks.open_window_run(monitored)
    """
    context = monitored.context
    window = f"{context.spec.name}-{monitored.until:%Y%m%dT%H%M%S}"
    _, experiment = tracking.experiments_of(context.spec.name)
    return tracking.turn_run(context.mlflow, context.settings, experiment, window)


@step("compute", log="report")
def begin_report(window: MonitoredWindow) -> ReportJob | None:
    """Start to draw Evidently's report in another process; None if there is nothing to draw.

    Args:
        window: The window.
    """
    monitored, live = window.monitored, window.live
    policy = monitored.context.spec.monitoring
    if policy.report == "never":
        return None
    try:
        result, is_drawn = window.column_drift, window.draws_report
    except Exception as error:  # noqa: BLE001 - the evidence area `drift` meets it again, and reports it
        logger.warning("there is no drift report: %s", error)
        return None
    if result.drifted is None or not is_drawn:
        return None
    profile = monitored.reference.profile
    names = [column.name for column in profile.columns if column.name != PREDICTION or column.kind == "numeric"]
    # Evidently draws rows in the order in which it gets them: by time.
    reference = monitored.reference.sample.sort_values(monitored.context.spec.columns.time, kind="stable")
    current = live.sample.sort_values(monitored.event_time, kind="stable")
    columns = [name for name in names if name in reference and name in current and not policy.ignored(name)]
    texts = [name for name in monitored.texts if name in current and not policy.ignored(name)]
    return ReportJob.begin(reference, current, policy, columns=[*columns, *texts], texts=texts, result=result)


@step("network", log="report")
def keep_report(monitored: MonitoredModel, report: ReportJob | None, signals: Signals, run_id: str) -> Signals:
    """Log the report with the window's run. If it could not be drawn, drift counts as failed.

    Args:
        monitored: The monitored model.
        report: The report that was started.
        signals: The evidence of the window.
        run_id: The MLflow run of the window.
    """
    if report is None:
        return signals

    def keep() -> DriftSignal:
        monitored.context.mlflow.log_artifact(run_id, str(report.wait()))
        return signals.drift

    try:
        return signals.model_copy(update={"drift": attempt(keep, DriftSignal)})
    finally:
        report.end()


@step("decision", log="triage")
def decide_window(window: MonitoredWindow, signals: Signals, run_id: str) -> tuple[TriageDecision, bool]:
    """Decide what to do about a window, and keep the decision with its evidence in the ledger and in MLflow.

    Args:
        window: The window.
        signals: Its evidence.
        run_id: The MLflow run of the window.

    Returns:
        The decision, and whether it is new.

    Raises:
        LedgerError: Another decision was made about this very evidence.

    Example:
        >>> run_id = everfit.tasks.open_window_run(monitored)
        >>> decision, is_new = everfit.tasks.decide_window(window, signals, run_id)
        >>> is_new
        True
    """
    monitored = window.monitored
    context, spec = monitored.context, monitored.context.spec
    history = history_of(monitored.triages, monitored.turns, monitored.until)
    policy = TriagePolicy(
        monitoring=spec.monitoring,
        retraining=spec.retraining,
        rollback_within=spec.release.rollback_within,
        gate_rows=spec.gate.min_rows,
        gate_class_rows=spec.gate.min_class_rows,
    )
    decision = triage(signals, history, policy)
    is_new = context.ledger.decisions.find(decision.id) is None
    record = JudgedWindow(
        signals=signals,
        decision=decision,
        estimate=_checked_estimate(window, signals),
        basis=look_basis(monitored),
        columns=column_distances(window.column_drift) if signals.drift.measured else {},
        runs=_runs(window, signals, run_id),
    )
    context.ledger.decisions.record(
        decision.id,
        model=spec.name,
        kind=TRIAGE,
        verdict=decision.verdict,
        until=monitored.until,
        reasons=decision.reasons,
        record=record.model_dump(mode="json"),
    )
    _keep_columns(window, signals)
    if signals.intervals.adapted is not None:
        champion = monitored.champion
        write_bounds(context.mlflow, champion.model, champion.version, signals.intervals.adapted)
    context.mlflow.log_dict(run_id, record.model_dump(mode="json"), "triage.json")
    if signals.diagnosis.diagnosis is not None:
        page = diagnosis_page(spec.name, str(decision.window), signals.diagnosis.diagnosis)
        context.mlflow.log_text(run_id, page, DIAGNOSIS_FILE)
    _log_numbers(monitored, signals, decision, run_id)
    logger.info("%s (%s): %s", decision.verdict, decision.rule, decision.reasons[0])
    return decision, is_new


def _runs(window: MonitoredWindow, signals: Signals, run_id: str) -> dict[str, str]:
    """Return the runs with a look's evidence, and the file of its drift report."""
    runs = {"mlflow": run_id}
    if runtime.flow_run.id:
        runs["prefect"] = str(runtime.flow_run.id)
    if signals.drift.measured and window.draws_report:
        runs["report"] = REPORT_FILE
    return runs


def _keep_columns(window: MonitoredWindow, signals: Signals) -> None:
    """Keep the distributions of the columns for the page. The decision stands without them."""
    if not signals.drift.measured:
        return
    try:
        keep_columns(window)
    except Exception as error:  # noqa: BLE001 - whatever a store does, the decision is made and recorded
        logger.warning("the page will not show the distributions of this window: %s", error)


def _checked_estimate(window: MonitoredWindow, signals: Signals) -> PastEstimate | None:
    """Return the estimate that new labels could check; None if estimating failed."""
    if signals.estimate.status == "failed":
        return None
    with contextlib.suppress(NotEnoughError):
        return window.checked_estimate
    return None


def _log_numbers(monitored: MonitoredModel, signals: Signals, decision: TriageDecision, run_id: str) -> None:
    """Log the numbers of every evidence area as metrics of the window's run, at the time of the window's end."""
    from mlflow.entities import Metric

    now = int(monitored.until.timestamp() * 1000)
    names = {re.sub(r"[^\w./ -]", "_", name): value for name, value in signals.numbers().items()}
    metrics = [Metric(name, value, now, 0) for name, value in names.items()]
    monitored.context.mlflow.log_batch(
        run_id, metrics=metrics, params=_parameters(monitored, run_id), tags=_tags(monitored, decision)
    )
    context, drawn = monitored.context, timeline_numbers(signals, decision)
    log_timeline(context.mlflow, context.settings, context.spec.name, drawn, monitored.until)


def _parameters(monitored: MonitoredModel, run_id: str) -> "list[Param]":
    """Return what the window was measured by, as MLflow's pages compare runs by parameters."""
    from mlflow.entities import Param

    policy = monitored.context.spec.monitoring
    chosen = {
        "champion": monitored.champion.version,
        "reference": monitored.champion.run_id,
        "metric": monitored.context.spec.metric,
        "spec": monitored.context.spec.digest()[:12],
        "window": format_duration(policy.window),
        "min_rows": policy.min_rows,
        "min_labels": policy.min_labels,
        "max_loss": policy.max_loss,
        "loss_unit": policy.loss_unit,
        "confidence": policy.confidence,
        "drifted_share": policy.drifted_share,
    }
    # A window that is measured again keeps its run, and MLflow refuses another value of a parameter.
    known = monitored.context.mlflow.get_run(run_id).data.params
    return [Param(name, str(value)) for name, value in chosen.items() if name not in known]


def _tags(monitored: MonitoredModel, decision: TriageDecision) -> "list[RunTag]":
    """Return what people search and group the runs of looks by in MLflow."""
    from mlflow.entities import RunTag

    window = decision.window
    found = {
        "everfit.model": monitored.context.spec.name,
        "everfit.verdict": decision.verdict,
        "everfit.rule": decision.rule,
        "everfit.champion": str(monitored.champion.version),
        "everfit.window_since": window.since.isoformat() if window.since else "",
        "everfit.window_until": window.until.isoformat(),
        "mlflow.note.content": "\n\n".join(decision.reasons),
    }
    return [RunTag(name, value) for name, value in found.items()]
