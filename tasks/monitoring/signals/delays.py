"""The evidence area `delays`: how long labels take, against the spec's maturity."""

from collections.abc import Sequence

import pandas as pd

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.predictions.label_times import followed
from everfit.tasks.predictions.labels import LABEL_TIME
from everfit.tasks.statistics.label_delays import FEWEST, label_delays
from everfit.tasks.statistics.segment_delays import slow_segments
from everfit.tasks.triage.delay_signal import DelaySignal, TrainingDelays


def compare_with_maturity(window: MonitoredWindow) -> DelaySignal:
    """Estimate the delay of the labels of all answered rows that are followed.

    Raises:
        NotEnoughError: Too few labels have a time at which they became known.
    """
    monitored, rows = window.monitored, window.label_times
    spec = monitored.context.spec
    if rows is None:
        return DelaySignal(reason="monitoring.label_delays is `ignore`")
    found = delay_signal(rows, spec, monitored.event_time, pd.Timestamp(monitored.until), window.segments)
    if not found.measured:
        return found
    return found.model_copy(update={"training": _told_before(monitored) or _of_holdout(monitored)})


def _told_before(monitored: MonitoredModel) -> TrainingDelays | None:
    """Return what an earlier look has measured of the champion's hold-out, which does not change; None without one."""
    last = monitored.judged[-1].signals if monitored.judged else None
    if last is None or last.reference.version != monitored.champion.version:
        return None
    return last.delays.training if last.delays.maturity == monitored.context.spec.maturity else None


def _of_holdout(monitored: MonitoredModel) -> TrainingDelays | None:
    """Return the delays of the labels of the champion's hold-out; None if they are not known."""
    spec = monitored.context.spec
    time, label_time = spec.columns.time, spec.columns.label_time
    dataset, times = monitored.context.workspace.table(spec.name, "dataset"), monitored.reference.sample[time]
    if label_time is None or times.empty or not {time, label_time} <= set(dataset.columns()):
        return None
    span = Window(since=times.min().to_pydatetime(), until=(times.max() + pd.Timedelta(microseconds=1)).to_pydatetime())
    rows = pd.concat([pd.DataFrame(), *dataset.batches(span, time, [time, label_time])])
    if rows.empty:
        return None
    released = pd.Timestamp(monitored.champion.released)
    known = pd.to_datetime(rows[label_time], utc=True)
    found = label_delays(pd.to_datetime(rows[time], utc=True), known, released, maturity=spec.maturity)
    if found is None:
        return None
    return TrainingDelays(half=found.half, most=found.most, days=found.days, coverage=found.coverage)


def delay_signal(
    rows: pd.DataFrame, spec: ModelSpec, event_time: str, until: pd.Timestamp, segments: Sequence[str] = ()
) -> DelaySignal:
    """Return how long labels take.

    Only rows that are older than the maturity count, because labels of younger ones are not taken from the source yet.

    Args:
        rows: Answered rows with `_label_time`.
        spec: The model's spec.
        event_time: Column of the event time.
        until: The moment; later labels are not known.
        segments: Columns of the rows whose values may differ in their delay.

    Raises:
        NotEnoughError: Too few labels have a time at which they became known.
    """
    rows = rows[rows[event_time] <= until - spec.maturity]
    known = rows[LABEL_TIME]
    if spec.columns.label_time is None and known.isna().all():
        return DelaySignal(reason="the spec names no columns.label_time, so the delay of labels is not known")
    found = label_delays(rows[event_time], known, until, followed=followed(spec), maturity=spec.maturity)
    if found is None:
        raise NotEnoughError(f"{int(known.notna().sum())} labels have come with their time; {FEWEST} are needed")
    slow = slow_segments(rows, segments, event_time, LABEL_TIME, until, followed=followed(spec), maturity=spec.maturity)
    return DelaySignal(status="measured", maturity=spec.maturity, segments=slow, **found.model_dump())
