"""The proposed hold-out, and whether it has enough rows for the gate."""

import math

import pandas as pd

from everfit.blocks.errors import SpecError
from everfit.blocks.policy import format_duration, parse_duration
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
_MOST_OF_MATURE = 1 / 3
"""The largest share of the rows whose labels are mature: the model learns from the others."""
_PART = 0.05
"""A turn is tried on twice the gate's minimum of new rows. Each should be no more than this share of the history."""
_FEW = 40
"""With fewer rows, the gate could tell hardly any models apart."""
_HALF = 0.5
_UNITS = (
    (pd.Timedelta(days=10), pd.Timedelta(days=1)),
    (pd.Timedelta(days=2), pd.Timedelta(hours=1)),
    (pd.Timedelta(minutes=-1), pd.Timedelta(minutes=1)),
)
"""A hold-out of a history longer than the first is given in the second."""
_SOME_DAYS = pd.Timedelta(days=7)
"""One day is like no other, so the hold-out has some."""


def propose_holdout(seen: Look, made: Proposal) -> None:
    """Propose as many of the newest rows as the gate needs, and lower its minimums if the data has few.

    Raises:
        SpecError: No row has both a label and an event time.
    """
    frame = seen.distinct[seen.distinct[made.target].notna()]
    scale = max(1.0, seen.rows / max(1, len(seen.frame)))
    share, held_out = _MOST, frame
    if made.event_time is not None:
        times = frame[made.event_time].dropna().sort_values()
        if times.empty:
            raise SpecError(
                f"no row with a value of {made.target!r} has a time in {made.event_time!r}, so there is nothing to "
                "learn from; give another --event-time, or fill it"
            )
        # It ends at the newest row, or earlier at the newest one with a mature label.
        end = seen.frame[made.event_time].max()
        length = end - _start(times, _wanted(frame, made) / scale)
        newest = _newest_mature(seen, made)
        mature = times.iloc[:0] if newest is None else times[times <= newest]
        if len(mature) >= _FEW:
            end = mature.iloc[-1]
            frame, times = frame[frame[made.event_time] <= end], mature
            length = min(length, end - times.iloc[int((1 - _MOST_OF_MATURE) * (len(times) - 1))])
        unit = next(unit for least, unit in _UNITS if spread(times) > least)
        made.holdout = format_duration((max(1, math.ceil(length / unit)) * unit).to_pytimedelta())
        start = end - length
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


def _newest_mature(seen: Look, made: Proposal) -> pd.Timestamp | None:
    """Return until when labels are mature, and say so if most rows are newer; None if the maturity is not known."""
    events = seen.frame[made.event_time].dropna()
    if made.maturity is None or made.label_time is None:
        return None
    end: pd.Timestamp = max(events.max(), seen.frame[made.label_time].max()) - parse_duration(made.maturity)
    old = float((events <= end).mean())
    if _FEW / len(events) <= old < _HALF:
        made.notes.append(
            f"Only {old:.0%} of the rows are older than maturity. A model learns from these alone, since labels of "
            f"newer ones are not complete."
        )
    return end


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
