"""Whether a window's rows follow the rhythm of the prediction log."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from everfit.tasks.core.records import Window
from everfit.tasks.core.spread import current_spread
from everfit.tasks.data.rhythm import earliest_hour
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.predictions import prediction_log
from everfit.tasks.statistics.column_rhythm import UnusualValues, check_column_rhythm
from everfit.tasks.statistics.hourly import Hourly, HourlyTally, hours_of
from everfit.tasks.statistics.rhythm import WEEK
from everfit.tasks.statistics.volume import LONGEST_HISTORY, VolumeCheck, check_volume
from everfit.tasks.storage.table_parts import TablePart, table_parts
from everfit.tasks.storage.tables import Table

_HOUR = 3_600
_EPOCH = pd.Timestamp(0, tz="UTC")
_USUAL_DELAY = 0.99
"""The share of hours whose rows have all come within the delay."""
_DELAY_WEEKS = 8

Arrivals = dict[int, tuple[float, float]]
"""For each hour, when its first and its last row came, in hours since 1970."""


@dataclass(frozen=True)
class LogRhythm:
    """The part of a prediction log's rhythm that concerns a window.

    Attributes:
        volume: The check of the rows by the log's own history.
        values: Columns with unusual values.
        expected: Rows to expect of the window; by the dataset's rhythm while the log is too short. None if neither
            is long enough.
    """

    volume: VolumeCheck
    values: tuple[UnusualValues, ...] = ()
    expected: float | None = None


def measure_rhythm(window: MonitoredWindow) -> LogRhythm:
    """Compare the hours of a window with the rhythm of all hours before it."""
    monitored = window.monitored
    spec, workspace = monitored.context.spec, monitored.context.workspace
    if spec.expectations.rhythm == "ignore":
        return LogRhythm(VolumeCheck(weeks=0))
    return read_rhythm(
        workspace.table(spec.name, "predictions"),
        workspace.table(spec.name, "dataset") if spec.columns.event_time else None,
        window.live.window,
        monitored.event_time,
        released=monitored.champion.released,
        columns=[name for name in (*monitored.features, *monitored.texts) if not monitored.drift_policy.ignored(name)],
    )


def read_rhythm(
    log: Table, dataset: Table | None, window: Window, event_time: str, *, released: datetime, columns: Sequence[str]
) -> LogRhythm:
    """Compare the hours of a window of a log with the hours before it.

    Args:
        log: The prediction log.
        dataset: The dataset, whose rhythm is used while the log is too short; None without event times.
        window: The span of event time; hours whose rows usually come later are not judged yet.
        event_time: The column of the event time in both tables.
        released: The champion answers from here on.
        columns: The columns to judge.
    """
    if window.since is None:
        return LogRhythm(VolumeCheck(weeks=0))
    tally, came = _read(log, event_time, window.until)
    since, until = _ceiling(window.since), int(window.until.timestamp() // _HOUR)
    rows = tally.volume(until)
    if rows is None:
        return LogRhythm(VolumeCheck(weeks=0))
    settled = _settled(came, until)
    volume = check_volume(Hourly(rows.first, rows.rows[: max(0, settled - rows.first)]), since, settled)
    if not volume.learnt:
        since = max(since, _ceiling(min(released, window.until)))
        expected = None if dataset is None else _expected_by_dataset(dataset, event_time, rows, since, until)
        return LogRhythm(volume, (), expected)
    earliest = earliest_hour(tally, until)
    if earliest is None:
        return LogRhythm(volume, (), volume.expected)
    span, counted = Window(since=_moment(earliest), until=window.until), HourlyTally()
    for tallied in current_spread()(_tally, (log, span, event_time, columns), table_parts(log, span)):
        counted.merge(tallied)
    return LogRhythm(volume, check_column_rhythm(counted, since, settled, volume), volume.expected)


def _read(log: Table, event_time: str, until: datetime) -> tuple[HourlyTally, Arrivals]:
    """Return the answered rows by hour, and for each hour when its first and its last row came, in hours since 1970."""
    history = Window(since=datetime.fromtimestamp(until.timestamp() - LONGEST_HISTORY * _HOUR, UTC), until=until)
    tally, came = HourlyTally(), Arrivals()
    for counted, arrivals in current_spread()(_read_part, (log, history, event_time), table_parts(log, history)):
        tally.merge(counted)
        for hour, times in arrivals.items():
            _note(came, hour, times)
    return tally, came


def _read_part(asked: tuple[Table, Window, str], part: TablePart) -> tuple[HourlyTally, Arrivals]:
    log, window, event_time = asked
    came, until = Arrivals(), window.until

    def measured() -> Iterator[pd.DataFrame]:
        for rows in _answers(log, window, event_time, [prediction_log.PREDICTED_AT], part):
            timed = rows[rows[event_time].notna() & rows[prediction_log.PREDICTED_AT].notna()]
            known = (timed[prediction_log.PREDICTED_AT] <= until).to_numpy()  # in a replay all came later
            if known.any():
                at = (timed[prediction_log.PREDICTED_AT] - _EPOCH).dt.total_seconds()[known] / _HOUR
                ends = at.groupby(hours_of(timed[event_time])[known]).agg(["min", "max"])
                for hour, first, last in ends.itertuples():
                    _note(came, int(hour), (first, last))
            yield rows

    return HourlyTally().add(measured(), event_time), came


def _note(came: Arrivals, hour: int, times: tuple[float, float]) -> None:
    (first, last), (earliest, latest) = times, came.get(hour, times)
    came[hour] = (min(earliest, first), max(latest, last))


def _tally(asked: tuple[Table, Window, str, Sequence[str]], part: TablePart) -> HourlyTally:
    """Count the values of a part by hour."""
    log, window, event_time, columns = asked
    return HourlyTally().add(_answers(log, window, event_time, columns, part), event_time, columns)


def _answers(
    log: Table, window: Window, event_time: str, columns: Sequence[str], part: TablePart
) -> Iterator[pd.DataFrame]:
    there = log.columns(part.version)
    wanted = [name for name in dict.fromkeys([event_time, prediction_log.ARM, *columns]) if name in there]
    for frame in part.batches(log, window, event_time, wanted):
        yield frame[frame[prediction_log.ARM].isin(prediction_log.ANSWERED)]


def _settled(came: Mapping[int, tuple[float, float]], until: int) -> int:
    """Return the hour before which the rows of all hours have usually come.

    An hour whose rows are late in the usual way says nothing. It is covered once a row of its time or later has come:
    the other rows of a batch come with that one, and those of a service come by a usual delay after it.

    Args:
        came: When the first and the last row of each hour came, in hours since 1970.
        until: The hour of the look.
    """
    if not came:
        return until
    hours = np.array(sorted(came))
    first, last = np.array([came[hour] for hour in hours.tolist()]).T
    covered = np.minimum.accumulate(first[::-1])[::-1]
    # The log may begin with years of rows that were scored at once, which says nothing about delays.
    judged = (covered > covered[0] + 1) & (hours >= until - _DELAY_WEEKS * WEEK)
    judged = judged if judged.any() else np.ones(len(hours), dtype=np.bool_)
    delay, after = (
        int(np.ceil(max(0.0, np.quantile((last - since)[judged], _USUAL_DELAY)))) for since in (hours, covered)
    )
    known = hours[covered + after <= until]
    return max(until - delay, int(known[-1]) if len(known) else 0)


def _expected_by_dataset(dataset: Table, event_time: str, log: Hourly, since: int, until: int) -> float | None:
    """Return the rows to expect of some hours by the dataset before the log's first hour, and the log after it."""
    if not dataset.exists():
        return None
    before = Window(since=_moment(log.first - LONGEST_HISTORY), until=_moment(log.first))
    known = HourlyTally().add(dataset.batches(before, event_time, [event_time]), event_time)
    if not known.rows:
        return None
    earlier = known.volume(max(known.rows))  # its last hour may not be whole
    if earlier is None or until <= since:
        return None
    unknown = np.full(max(0, log.first - earlier.end), np.nan)
    joined = Hourly(earlier.first, np.concatenate([earlier.rows, unknown, log.rows]))
    return check_volume(joined, since, until).expected


def _ceiling(moment: datetime) -> int:
    return int(-(-moment.timestamp() // _HOUR))


def _moment(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * _HOUR, UTC)
