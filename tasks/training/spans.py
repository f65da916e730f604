"""The spans of history that compete in a turn."""

from datetime import timedelta

from everfit.blocks.policy import format_duration
from everfit.tasks.data.split import TrainingData
from everfit.tasks.training.fit_costs import FEW_FEATURES

_SHARES = (4, 16, 64)
"""A span is all history divided by one of these."""
_LEAST_ROWS, _LEAST_OF_FEATURE = 100, 10
"""A span with fewer rows is too short to learn from; each feature beyond `FEW_FEATURES` needs some more."""


def competing_spans(data: TrainingData) -> tuple[str, ...]:
    """Return the spans that compete on the newest rows, the longest first, as in a spec.

    By `training.window: auto` they are all history, its newest quarter, sixteenth and so on, as long as there are rows
    enough; otherwise those of the spec.

    Args:
        data: Rows of the turn.
    """
    policy = data.spec.training
    if policy.window != "auto":
        return tuple("all" if span is None else format_duration(span) for span in policy.spans)
    if data.spec.columns.event_time is None:
        return ("all",)
    rows = data.training_rows(data.split.whole)
    times = rows[data.spec.columns.time]
    end = data.split.whole.until
    length = end - times.iloc[0].to_pydatetime()
    spans, least = ["all"], _LEAST_ROWS + _LEAST_OF_FEATURE * max(0, len(data.features) - FEW_FEATURES)
    for share in _SHARES:
        span = _rounded(length / share)
        if int((times >= end - span).sum()) < least:
            break
        spans.append(format_duration(span))
    return tuple(spans)


def _rounded(span: timedelta) -> timedelta:
    """Round a span up to whole days, hours or seconds."""
    for unit in (timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)):
        if span >= 4 * unit:
            return -(-span // unit) * unit
    return timedelta(seconds=1)
