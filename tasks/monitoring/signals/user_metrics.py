"""Figures of the users' own, such as an acceptance rate: read from where they are kept, and averaged over a window."""

import numpy as np
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.retraining import UserMetricPolicy
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.sources import read_source
from everfit.tasks.triage.signals import SatisfactionSignal


def satisfaction_signal(policy: UserMetricPolicy, window: Window) -> SatisfactionSignal:
    """The mean of a figure over the rows of a window.

    Args:
        policy: The figure, and where it comes from.
        window: Of the time at which it was measured.

    Raises:
        SourceError: the source can't be read, or lacks a column.
        DataError: a value is no number.
    """
    roles, total, rows = ColumnRoles(event_time=policy.time, target=policy.metric), 0.0, 0
    for piece in read_source(policy.source, roles, window):
        times = piece.frame[policy.time]
        inside = times < window.until
        if window.since is not None:
            inside &= times >= window.since
        given = piece.frame.loc[inside, policy.metric].dropna()
        values = pd.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64)
        if (wrong := ~np.isfinite(values)).any():
            raise DataError(f"{policy.metric}: {given[wrong].iloc[0]!r} is no number; give the figure one per row")
        total, rows = total + float(values.sum()), rows + values.size
    if not rows:
        return SatisfactionSignal(status="not_enough", metric=policy.metric, reason=f"no {policy.metric} in {window}")
    told = f"mean of {rows:,} rows"
    return SatisfactionSignal(status="measured", metric=policy.metric, value=total / rows, reason=told)
