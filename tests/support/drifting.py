"""Two frames compared as a reference and a window, without a model around them."""

from collections.abc import Sequence

import pandas as pd

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.monitoring.signals.drift import DriftResult, drift
from everfit.tasks.statistics.histograms import histograms
from everfit.tasks.statistics.profile import profile_frame


def drift_between(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    columns: Sequence[str],
    policy: MonitoringPolicy,
    *,
    predictions: Sequence[str] = (),
) -> DriftResult:
    """Drift of a frame against the profile of another."""
    profile = profile_frame(reference, columns, predictions=predictions)
    return drift(profile, histograms(current, profile), policy)
