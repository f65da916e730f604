"""The evidence area `estimate`: quality on rows without mature labels, and how well such estimates have held."""

from collections.abc import Sequence

from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.monitoring.signals.live_estimate import estimate_signal
from everfit.tasks.monitoring.triage_history import JudgedWindow
from everfit.tasks.statistics.estimate_trust import PastEstimate
from everfit.tasks.triage.non_overlapping import NEARLY, non_overlapping
from everfit.tasks.triage.quality_signals import EstimateSignal


def estimate_quality(window: MonitoredWindow) -> EstimateSignal:
    """Estimate quality on the rows that have no mature label."""
    monitored = window.monitored
    spec, estimator = monitored.context.spec, monitored.estimator
    if estimator is None:
        return EstimateSignal(reason=f"{spec.metric} cannot be estimated without labels")
    _ = window.checked_estimate  # an estimate that cannot be checked against labels is not to be trusted either
    past = past_estimates(monitored.judged, monitored.champion.version)
    return estimate_signal(estimator, monitored.rest, monitored.baseline, spec, past)


def past_estimates(judged: Sequence[JudgedWindow], version: int) -> list[PastEstimate]:
    """Return a champion's past estimates with the quality that followed, newest first, of windows that do not overlap.

    Args:
        judged: Past windows.
        version: The champion's version.
    """
    own = [window for window in judged if window.decision.reference.startswith(f"v{version}-")]
    known = [(window.estimate, window.decision.window) for window in own if window.estimate is not None]
    return [estimate for estimate, _ in non_overlapping(known, lambda pair: pair[1], shared=NEARLY)]
