"""The proposed length of a monitoring window, so that a look has enough labels to decide by."""

import pandas as pd

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.deployments.init.look import Look, spread
from everfit.deployments.init.proposal import Proposal

_ENOUGH = 1.25
"""A window should hold more than the smallest number of labels by this factor, since windows differ."""
_UNITS = (1, 7, 14, 30, 60, 90, 180, 365)
"""Lengths that people think in, in days."""
_USUAL_DAYS = 90
"""A longer window is proposed only where this one has too few rows to say anything, because looks must come in time."""
_FEWEST = 40
"""Rows of a window that say anything."""
_WEEKS = 28
"""From this many days of history on a window has whole weeks, so that weekdays don't count as drift."""
_SHARE = 0.25
"""A window should be at most this share of the history."""


def propose_window(seen: Look, made: Proposal) -> None:
    """Propose the shortest window with enough labels, and lower minimums if even a long one has too few."""
    if made.event_time is None:
        return
    labelled = seen.distinct[seen.distinct[made.target].notna()]
    times = labelled[made.event_time].dropna()
    history = spread(times) / pd.Timedelta(days=1)
    if not history > 0:
        return
    scale = max(1.0, seen.rows / max(1, len(seen.frame)))
    recent = times[times > times.max() - spread(times) / 2]  # the present pace counts
    per_day = scale * len(recent) / (history / 2)
    least = MonitoringPolicy().min_labels
    units = _UNITS[1:] if history >= _WEEKS else _UNITS[:1]
    fits = [days for days in units if days <= max(_SHARE * history, units[0])]
    enough = [days for days in fits if days <= _USUAL_DAYS and days * per_day >= _ENOUGH * least]
    few = [days for days in fits if days >= min(_USUAL_DAYS, fits[-1]) and days * per_day >= _FEWEST]
    days = next(iter([*enough, *few]), fits[-1])
    rows = int(days * per_day)
    made.window, made.window_rows = f"{days}d", rows
    if rows < _ENOUGH * least:
        made.least_labels = max(30, int(rows / _ENOUGH))
