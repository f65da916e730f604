"""The evidence of a window, as Prefect tasks: each area is measured by itself, and says if it could not be."""

from functools import partial
from typing import Any

from everfit.blocks.retraining import UserMetricPolicy
from everfit.blocks.signals import SignalPolicy
from everfit.tasks.core.spread import spread_by
from everfit.tasks.monitoring.evidence import AREAS, AreaT, EvidenceArea, area_of, attempt
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.monitoring.signals import own_signals
from everfit.tasks.monitoring.signals.loss_diagnosis import diagnose_window, may_be_lost
from everfit.tasks.monitoring.signals.user_metrics import user_metric_signal
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.steps.task_runners import workers
from everfit.tasks.triage.diagnosis_signal import DiagnosisSignal
from everfit.tasks.triage.quality_signals import QualitySignal
from everfit.tasks.triage.signals import DriftSignal, Signals
from everfit.tasks.triage.user_signals import OwnSignal, UserMetricSignal

logger = step_logger("everfit.monitoring")


@step("compute", log="evidence")
def measure_signals(window: MonitoredWindow) -> Signals:
    """Measure every evidence area of a window, then the metrics and signals of the user.

    Args:
        window: The window.

    Returns:
        All evidence. An area that could not be measured says so and why; it never counts as healthy.

    Raises:
        WorkspaceError: The champion's reference can't be read.

    Example:
        >>> signals = everfit.tasks.measure_signals(window)
        >>> signals.model
        'deliveries'
    """
    monitored = window.monitored
    spec, profile = monitored.context.spec, monitored.reference.profile
    with workers(window.monitored.context.workspace.uri) as spread, spread_by(spread):
        measured: dict[str, Any] = {area.record.name: measure_area(window, area) for area in AREAS}
        if may_be_lost(measured["quality"], monitored):
            measured["diagnosis"] = measure_diagnosis(window)
    signals = Signals(
        model=spec.name,
        window=monitored.windows.window,
        reference=monitored.champion.reference(profile, monitored.version.trained_until),
        user_metrics=tuple(measure_user_metric(window, policy) for policy in spec.retraining.user_metrics),
        **measured,
    )
    own = tuple(measure_own_signal(window, policy, signals) for policy in spec.monitoring.signals)
    return signals.model_copy(update={"own": own})


@step("compute", log="measure", run_name="measure {area.record.name}")
def measure_area(window: MonitoredWindow, area: EvidenceArea[AreaT]) -> AreaT:
    """Measure one evidence area; an error becomes its status."""
    return _logged(area.attempt(window))


@step("compute", log="measure", run_name="diagnose")
def measure_diagnosis(window: MonitoredWindow) -> DiagnosisSignal:
    """Find out why and where quality was lost; an error becomes the area's status."""
    return _logged(attempt(partial(diagnose_window, window), DiagnosisSignal))


@step("network", log="measure", run_name="measure {policy.metric}")
def measure_user_metric(window: MonitoredWindow, policy: UserMetricPolicy) -> UserMetricSignal:
    """Measure a metric of the user; an error becomes its status."""
    record = partial(UserMetricSignal, metric=policy.metric)
    span = window.monitored.windows.policy_span
    return _logged(attempt(partial(user_metric_signal, policy, span), record))


@step("compute", log="measure", run_name="measure {policy.title}")
def measure_own_signal(window: MonitoredWindow, policy: SignalPolicy, signals: Signals) -> OwnSignal:
    """Run a signal of the user on copies of the evidence; an error becomes its status."""

    def measure() -> OwnSignal:
        return own_signals.own_signal(policy, own_signals.WindowEvidence.of(window, signals))

    return _logged(attempt(measure, partial(OwnSignal, signal=policy.title, action=policy.action)))


@step("compute", log="measure")
def measure_drift(window: MonitoredWindow) -> DriftSignal:
    """Measure whether inputs, predictions or explanations have moved away from the champion's reference.

    Args:
        window: The window.

    Returns:
        The evidence area; failed or not_enough if drift could not be measured.

    Raises:
        WorkspaceError: The champion's reference can't be read.

    Example:
        >>> drift = everfit.tasks.measure_drift(window)
        >>> drift.status
        'measured'
    """
    with workers(window.monitored.context.workspace.uri) as spread, spread_by(spread):
        return _logged(area_of(DriftSignal).attempt(window))


@step("compute", log="measure")
def measure_quality(window: MonitoredWindow) -> QualitySignal:
    """Measure the primary metric on the rows with mature labels, against the champion's hold-out.

    Args:
        window: The window.

    Returns:
        The evidence area; failed or not_enough if quality could not be measured. Its value is in the metric's unit.

    Raises:
        WorkspaceError: The champion's reference can't be read.

    Example:
        >>> quality = everfit.tasks.measure_quality(window)
        >>> quality.metric
        'roc_auc'
    """
    with workers(window.monitored.context.workspace.uri) as spread, spread_by(spread):
        return _logged(area_of(QualitySignal).attempt(window))


def _logged(area: AreaT) -> AreaT:
    logger.info("%s %s: %s", area.title, area.status.replace("_", " "), area.text.partition(";")[0])
    return area
