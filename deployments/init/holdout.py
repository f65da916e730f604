"""The proposed hold-out, and whether it has enough rows for the gate."""

import math

import pandas as pd

from everfit.blocks.errors import SpecError
from everfit.blocks.policy import format_duration
from everfit.deployments.init.look import Look, spread
from everfit.deployments.init.proposal import Proposal
from everfit.tasks.storage.values import as_text

_LEAST_HOLDOUT_ROWS, _LEAST_CLASS_ROWS = 200, 20
_ENOUGH = 1.25
"""The hold-out must exceed the gate's minimum by this factor, since the next hold-out may be smaller."""
_USUAL_ROWS, _USUAL_CLASS_ROWS = 1_000, 40
"""A hold-out of this many rows, and of the rarest class, tells models apart; more would be missed in training."""
_MOST = 0.2
"""The largest share of the history."""
_PART = 0.05
"""A turn is tried on twice the gate's minimum of new rows. Each should be no more than this share of the history."""
_FEW = 40
"""With fewer rows, the gate could tell hardly any models apart."""
_SOME_DAYS = pd.Timedelta(days=7)
"""One day is like no other, so the hold-out has some."""


def propose_holdout(seen: Look, made: Proposal) -> None:
    """Propose as many of the newest rows as the gate needs, and lower its minimums if the data has few.

    Raises:
        SpecError: No row has both a label and an event time.
    """
    frame = seen.frame[seen.frame[made.target].notna()].drop_duplicates()  # duplicate rows count once
    scale = max(1.0, seen.rows / max(1, len(seen.frame)))
    share, held_out = _MOST, frame
    if made.event_time is not None:
        times = frame[made.event_time].dropna().sort_values()
        if times.empty:
            raise SpecError(
                f"no row with a value of {made.target!r} has a time in {made.event_time!r}, so there is nothing to "
                "learn from; give another --event-time, or fill it"
            )
        wanted = _wanted(frame, made) / scale
        start, end = _start(times, wanted), seen.frame[made.event_time].max()
        unit = pd.Timedelta(days=1) if spread(times) > pd.Timedelta(days=10) else pd.Timedelta(minutes=1)
        # The hold-out ends at the last row, or earlier at the last mature label.
        units = max(1, math.ceil((end - start) / unit))
        made.holdout = format_duration((units * unit).to_pytimedelta())
        held_out = frame[frame[made.event_time] >= start]
        share = len(held_out) / max(1, len(frame))
    rows = int(share * scale * len(frame))
    made.holdout_rows = rows
    rarest = held_out[made.target].value_counts()
    rarest_rows = int(scale * rarest.min() * (1.0 if made.holdout else _MOST))
    total = scale * len(frame)
    if rows < _ENOUGH * _LEAST_HOLDOUT_ROWS:
        most = 0.7 * rows if made.event_time is None else min(0.7 * rows, max(_FEW, _PART * total))
        made.least_rows = max(10, int(most))
        made.notes.append(f"The hold-out has only about {rows:,} rows, so its results are uncertain.")
    elif total < _LEAST_HOLDOUT_ROWS / _PART:
        made.least_rows = int(_PART * total)
    if made.task != "regression" and rarest_rows < _ENOUGH * _LEAST_CLASS_ROWS:
        made.least_class_rows = 3
        counted = "1 row" if rarest_rows == 1 else f"{rarest_rows} rows"
        made.notes.append(
            f"The hold-out has only about {counted} with {made.target} {as_text(rarest.idxmin())!r}, so its results "
            f"for them are uncertain."
        )
    elif made.task != "regression" and rows < _ENOUGH * _LEAST_HOLDOUT_ROWS:
        made.least_class_rows = 3


def _wanted(frame: pd.DataFrame, made: Proposal) -> float:
    """Return how many rows the hold-out needs for the gate."""
    if made.task == "regression":
        return _USUAL_ROWS
    rarest = float(frame[made.target].value_counts(normalize=True).min())
    return max(_USUAL_ROWS, _USUAL_CLASS_ROWS / rarest)


def _start(times: pd.Series, wanted: float) -> pd.Timestamp:
    """Return where the hold-out starts: with enough rows and some days, and at most a fifth of the history.

    Args:
        times: Event times of the labelled rows, in order; shape (rows,).
        wanted: How many of these rows to hold out.
    """
    earliest: pd.Timestamp = times.iloc[int((1 - _MOST) * (len(times) - 1))]
    by_rows: pd.Timestamp = times.iloc[max(0, len(times) - math.ceil(wanted))]
    some_days: pd.Timestamp = times.iloc[-1] - _SOME_DAYS
    return max(earliest, min(by_rows, some_days))
