"""How long nothing has asked the model, and how long it used to be, for a window without an answered prediction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from everfit.tasks.core.records import Record, Window
from everfit.tasks.predictions import prediction_log
from everfit.tasks.storage.tables import Table

_LOOK_BACK = timedelta(days=28)
"""At least; the rhythm of weekdays and nights shows in it."""
FULL_LOOK = timedelta(days=1)
"""A model that nothing has asked yet is looked at in full so often."""
_WINDOWS = 4
"""The look back has at least this many monitoring windows."""


class Silence(Record):
    """The time without an answer at a window's end.

    Attributes:
        asked: Whether the log holds any answer of the model from before the window's end.
        quiet: The time since the last answer; None without one in the look back.
        usual: The time between two answers that has occurred at least twice; None if too few are known.
    """

    asked: bool
    quiet: timedelta | None = None
    usual: timedelta | None = None


def measure_silence(log: Table, event_time: str, until: datetime, window: timedelta) -> Silence:
    """Measure the silence of a model at a moment.

    Args:
        log: The model's prediction log.
        event_time: Its column of the event time.
        until: The window's end.
        window: The length of a monitoring window.
    """
    since = until - max(_LOOK_BACK, _WINDOWS * window)
    answers = prediction_log.read(
        log, Window(since=since, until=until), event_time, columns=[prediction_log.PREDICTED_AT]
    )
    if answers.empty:
        return Silence(asked=has_answers(log, event_time, until))
    times = answers[prediction_log.PREDICTED_AT].dropna().drop_duplicates().sort_values()
    return silence([at.to_pydatetime() for at in times if at <= until], until)


def silence(answered_at: Sequence[datetime], until: datetime) -> Silence:
    """Return the silence at a moment. Pure.

    One long pause is an outage or a holiday. The usual pause is the second longest, because that one came again.

    Args:
        answered_at: The times of the answers up to then, in order; empty if they were given later, as in a replay.
        until: The moment.
    """
    if not answered_at:
        return Silence(asked=True)
    pauses = sorted(later - earlier for earlier, later in pairwise(answered_at))
    return Silence(asked=True, quiet=until - answered_at[-1], usual=pauses[-2] if len(pauses) > 1 else None)


def has_answers(log: Table, event_time: str, until: datetime) -> bool:
    """Return whether the model had answered anything before a moment.

    Args:
        log: The model's prediction log.
        event_time: Its column of the event time.
        until: The moment.
    """
    if not log.exists():
        return False
    columns = [event_time, prediction_log.ARM]
    return any(
        frame[prediction_log.ARM].isin(prediction_log.ANSWERED).any()
        for frame in log.batches(Window(until=until), event_time, columns)
    )
