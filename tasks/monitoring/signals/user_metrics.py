"""The evidence area `user_metrics`: metrics such as an acceptance rate, averaged over a window of their own source."""

import numpy as np
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.retraining import UserMetricPolicy
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.sources import read_source
from everfit.tasks.triage.user_signals import UserMetricSignal


def user_metric_signal(policy: UserMetricPolicy, window: Window) -> UserMetricSignal:
    """Return the mean of a metric over the rows of a window.

    Args:
        policy: The metric and its source.
        window: The span in which it was measured.

    Raises:
        SourceError: the source cannot be read, or lacks a column.
        DataError: a value is not a number.
    """
    roles, total, rows = ColumnRoles(event_time=policy.time, target=policy.metric), 0.0, 0
    for chunk in read_source(policy.source, roles, window):
        times = chunk.frame[policy.time]
        inside = times < window.until
        if window.since is not None:
            inside &= times >= window.since
        column = chunk.frame.loc[inside, policy.metric].dropna()
        values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
        if (wrong := ~np.isfinite(values)).any():
            raise DataError(f"{policy.metric}: {column[wrong].iloc[0]!r} is no number; give one number per row")
        total, rows = total + float(values.sum()), rows + values.size
    if not rows:
        return UserMetricSignal(status="not_enough", metric=policy.metric, reason=f"no {policy.metric} in {window}")
    reason = f"mean of {rows:,} rows"
    return UserMetricSignal(status="measured", metric=policy.metric, value=total / rows, reason=reason)
