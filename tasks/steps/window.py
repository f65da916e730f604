"""The monitored window, as Prefect tasks: the champion at a moment, its answers, and the labels that have come."""

from datetime import datetime

from everfit.blocks.errors import EverfitError, NoChampionError
from everfit.tasks.batch import label_collection
from everfit.tasks.batch.label_classes import RenamedClassError
from everfit.tasks.ledger.records import ON_TRIAL
from everfit.tasks.monitoring.evidence import attempt
from everfit.tasks.monitoring.first_bounds import offer_bounds
from everfit.tasks.monitoring.live_predictions import read_live_predictions
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.monitoring.quiet_look import nothing_is_new
from everfit.tasks.monitoring.report import report_process
from everfit.tasks.monitoring.signals import expectations
from everfit.tasks.monitoring.signals.service_health import services_are_well
from everfit.tasks.monitoring.signals.silence import FULL_LOOK, has_answers
from everfit.tasks.monitoring.triage_history import LookBasis
from everfit.tasks.monitoring.window_alert import SUBJECT
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.steps.task_runners import workers
from everfit.tasks.triage.signals import LabelsSignal
from everfit.tasks.turns.context import Context

logger = step_logger("everfit.monitoring")


@step("network", log="champion")
def find_champion(context: Context, until: datetime) -> MonitoredModel | None:
    """Return the champion at a window's end with earlier decisions; None before the first champion.

    Args:
        context: The model, as `open_context` returns it.
        until: The window's end; whatever came later is unknown.

    Returns:
        The champion with its reference, its spans and the decisions about earlier windows.

    Raises:
        LedgerError: An earlier decision can't be read.

    Example:
        >>> monitored = everfit.tasks.find_champion(context, UNTIL)
        >>> monitored.champion.version
        1
    """
    try:
        monitored = MonitoredModel.find(context, until)
    except NoChampionError:
        return None
    offer_bounds(context, monitored.version)
    if monitored.draws_report():
        report_process.warm_up()
    champion = monitored.champion
    logger.info("version %d, released %s", champion.version, f"{champion.released:%Y-%m-%d %H:%M}")
    return monitored


@step("network", log="window")
def still_unused(monitored: MonitoredModel) -> str:
    """Return why there is nothing to look at, if nothing has asked the model since a look of the last day; else "".

    Args:
        monitored: The monitored model.
    """
    context = monitored.context
    last = monitored.judged[-1] if monitored.judged else None
    if (
        last is None
        or last.decision.rule != "unused"
        or last.signals.reference.version != monitored.champion.version
        or monitored.until - last.decision.window.until >= FULL_LOOK
        or has_answers(context.workspace.table(context.spec.name, "predictions"), monitored.event_time, monitored.until)
    ):
        return ""
    return f"nothing has asked the model yet; the last full look was at {last.decision.window.until:%Y-%m-%d %H:%M}"


@step("network", log="window")
def collect_new_labels(monitored: MonitoredModel) -> LabelsSignal:
    """Collect new labels from the source; if that fails, the result says so and the known labels still count.

    Args:
        monitored: The monitored model.
    """

    def collect() -> LabelsSignal:
        span = label_collection.label_window(monitored.context, monitored.until, monitored.windows.unseen)
        try:
            label_collection.record_source_labels(monitored.context, span)
        except RenamedClassError as error:  # the area `data` reports it
            return LabelsSignal(renamed=str(error))
        return LabelsSignal()

    return attempt(collect, LabelsSignal)


@step("network", log="window")
def still_quiet(monitored: MonitoredModel) -> str:
    """Return why there is nothing to measure, if no prediction and no label has come since the last look; else "".

    Args:
        monitored: The monitored model, after new labels were collected.
    """
    context = monitored.context
    if any(incident.subject == SUBJECT for incident in context.ledger.incidents.open(context.spec.name)):
        return ""  # a look that measures must say whether it is over
    quiet = nothing_is_new(monitored.judged, look_basis(monitored), monitored.until, context.spec.monitoring.window)
    return quiet if quiet and _services_are_well(monitored) else ""


def _services_are_well(monitored: MonitoredModel) -> bool:
    try:
        return services_are_well(monitored)
    except EverfitError:  # such as a token that can't be read: a look that measures says so
        return False


def look_basis(monitored: MonitoredModel) -> LookBasis:
    """Return the state by which the next look can tell whether anything is new.

    Args:
        monitored: The monitored model.
    """
    context, spec = monitored.context, monitored.context.spec
    tables = {name: context.workspace.table(spec.name, name) for name in ("predictions", "labels")}
    current = context.ledger.releases.current(spec.name)
    own = spec.retraining
    by_time = {
        "metrics of users are read": bool(own.user_metrics),
        "signals of your own are measured": bool(spec.monitoring.signals),
        "a turn is due by a schedule": own.schedule is not None,
        "code is compared": own.code,
        "a turn is open": any(not turn.settled or turn.state == ON_TRIAL for turn in monitored.turns),
    }
    return LookBasis(
        tables={name: table.version() for name, table in tables.items() if table.exists()},
        spec=spec.digest(),
        release=0 if current is None else current.seq,
        pending="; ".join(reason for reason, is_so in by_time.items() if is_so),
    )


@step("network", log="window")
def read_window(monitored: MonitoredModel, collected_labels: LabelsSignal | None = None) -> MonitoredWindow:
    """Read the predictions of the window.

    Args:
        monitored: The monitored model.
        collected_labels: Whether new labels could be collected.

    Returns:
        The window, from which each evidence area is measured.

    Raises:
        WorkspaceError: The prediction log can't be read.

    Example:
        >>> window = everfit.tasks.read_window(monitored)
        >>> window.live.rows > 0
        True
    """
    spec = monitored.context.spec
    with workers(monitored.context.workspace.uri) as spread:
        live = read_live_predictions(
            monitored.context.workspace.table(spec.name, "predictions"),
            monitored.windows.window,
            monitored.event_time,
            monitored.reference.profile,
            monitored.champion.version,
            also=monitored.texts,
            sample_rows=max(spec.monitoring.report_rows, expectations.MOST_ROWS),
            outlier_above=spec.release.serving.outlier_above,
            implausible_ranges=spec.monitoring.data_quality.implausible_ranges,
            max_client_share=spec.monitoring.clients.max_share,
            spread=spread,
        )
    return MonitoredWindow(monitored, live, collected_labels or LabelsSignal())
