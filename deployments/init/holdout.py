"""The proposed hold-out, and whether it has enough rows for the gate."""

import math

import pandas as pd

from everfit.blocks.policy import format_duration
from everfit.deployments.init.look import Look, spread
from everfit.deployments.init.proposal import Proposal

_LEAST_HOLDOUT_ROWS, _LEAST_CLASS_ROWS = 200, 20
_ENOUGH = 1.25
"""The hold-out must exceed the gate's minimum by this factor, since the next hold-out may be smaller."""


def propose_holdout(seen: Look, made: Proposal) -> None:
    """Propose the last fifth of the time, and lower minimums for the gate if that has few rows."""
    frame = seen.frame[seen.frame[made.target].notna()].drop_duplicates()  # duplicate rows count once
    scale = max(1.0, seen.rows / max(1, len(seen.frame)))
    held_out = frame
    if made.event_time is not None:
        times = frame[made.event_time].dropna().sort_values()
        start, end = times.iloc[int(0.8 * (len(times) - 1))], seen.frame[made.event_time].max()
        unit = pd.Timedelta(days=1) if spread(times) > pd.Timedelta(days=10) else pd.Timedelta(minutes=1)
        # The hold-out ends at the last row, or earlier at the last mature label.
        units = max(1, math.ceil((end - start) / unit))
        made.holdout = format_duration((units * unit).to_pytimedelta())
        held_out = frame[frame[made.event_time] >= start]
    rows = int(0.2 * scale * len(frame))
    rarest = held_out[made.target].value_counts()
    rarest_rows = int(scale * rarest.min() * (1.0 if made.holdout else 0.2))
    if rows < _ENOUGH * _LEAST_HOLDOUT_ROWS:
        made.least_rows = max(10, int(0.7 * rows))
        made.notes.append(f"The hold-out has only about {rows:,} rows, so its results are uncertain.")
    elif made.task != "regression" and rarest_rows < _ENOUGH * _LEAST_CLASS_ROWS:
        made.notes.append(
            f"The hold-out has only about {rarest_rows} rows with {made.target} {rarest.idxmin()!r}, so its "
            f"results for them are uncertain."
        )
    else:
        return
    made.least_class_rows = None if made.task == "regression" else 3
