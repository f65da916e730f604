"""Check the volume, the completeness, the values and the age of a batch by the rhythm of the rows before it."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from everfit.blocks.policy import format_duration
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.data.deduplication import CONFLICT, NEW
from everfit.tasks.data.expectation_results import ExpectationResult
from everfit.tasks.data.staged_batch import Batch
from everfit.tasks.data.staging import OWN, Staging, slices
from everfit.tasks.statistics.column_rhythm import UnusualValues, check_column_rhythm
from everfit.tasks.statistics.hourly import HourlyTally
from everfit.tasks.statistics.rhythm import FEWEST_WEEKS, WEEK
from everfit.tasks.statistics.volume import LONGEST_HISTORY, VolumeCheck, check_volume
from everfit.tasks.storage.tables import Table
from everfit.tasks.storage.workspace import Workspace

VOLUME, VALUES, AGE = (
    "the rows come in their usual number by hour and weekday",
    "the columns are filled as usual by hour and weekday, with the usual means",
    "the newest row is as new as usual",
)
"""Descriptions of these checks."""
COLUMN_ROWS = 2_000_000
"""At most this many rows of the newest weeks are read to learn the rhythm of columns."""
_COLUMN_WEEKS = 13
_FIRST_WEEKS = 4
"""This many of the newest weeks of a first batch are judged by the weeks before."""
_FEWEST_TURNS, _KEPT_TURNS = 5, 50
_PATIENCE = 1.25
_HOUR = 3_600
_SHOWN = 3


def check_rhythm(spec: ModelSpec, batch: Batch, staging: Staging) -> Iterator[ExpectationResult]:
    """Compare a batch with the rhythm of the dataset's rows, and yield the results.

    Only rows that are new and later than the dataset's are judged; of a first batch, the newest four weeks. The last
    hour is left out, since it may not be over. If all rows have a label, rows come when their label is known, so the
    ones within the maturity are left out, too.

    Args:
        spec: Spec of the model.
        batch: The staged batch.
        staging: Its files.
    """
    time = spec.columns.event_time
    if time is None or spec.expectations.rhythm == "ignore" or batch.from_quarantine:
        return
    fresh = _fresh_rows(spec, batch, staging)
    if not fresh.rows:
        return
    dataset = staging.workspace.table(spec.name, "dataset")
    since, until = _judged(spec, batch, fresh, dataset, staging)
    warns = spec.expectations.rhythm == "warn"
    if until > since:
        history = Window(since=_moment(since - LONGEST_HISTORY), until=_moment(max(since, min(fresh.rows)) + 1))
        tally = HourlyTally(rows=dict(fresh.rows))
        if batch.dataset_version >= 0:
            tally.add(dataset.batches(history, time, [time], batch.dataset_version), time)
        rows = tally.volume(until)
        volume = VolumeCheck(weeks=0) if rows is None else check_volume(rows, since, until)
        yield _volume_result(volume, warns=warns)
        if volume.learnt:
            earliest = earliest_hour(tally, until)
            columns = HourlyTally() if earliest is None else _column_tally(spec, batch, staging, earliest, until)
            yield _column_result(check_column_rhythm(columns, since, until, volume), warns=warns)
    yield from _age_result(spec, batch, staging, warns=warns)


def newest_row(spec: ModelSpec, batch: Batch, staging: Staging) -> datetime | None:
    """Return the event time of the newest staged row, or None without any."""
    time, newest = spec.columns.event_time, None
    for number in range(len(batch.sizes) if time else 0):
        moment = pd.to_datetime(staging.read_part(number, [str(time)])[str(time)].to_pandas(), utc=True).max()
        if not pd.isna(moment):
            newest = moment if newest is None else max(newest, moment)
    return None if newest is None else newest.to_pydatetime()


def keep_age(spec: ModelSpec, batch: Batch, staging: Staging) -> None:
    """Keep how old the newest row of a committed batch was, for the batches to come."""
    newest = newest_row(spec, batch, staging)
    if newest is None or batch.from_quarantine:
        return
    ages = _ages(spec, staging.workspace)
    ages[batch.turn_id] = max(0.0, (batch.window.until - newest).total_seconds())
    kept = dict(list(ages.items())[-_KEPT_TURNS:])
    staging.workspace.write(_ages_path(spec, staging.workspace), json.dumps(kept, indent=1).encode())


def _fresh_rows(spec: ModelSpec, batch: Batch, staging: Staging) -> HourlyTally:
    tally = HourlyTally()
    return tally.add(_parts(batch, staging, [str(spec.columns.event_time)]), str(spec.columns.event_time))


def _parts(batch: Batch, staging: Staging, columns: list[str]) -> Iterator[pd.DataFrame]:
    """Yield some columns of the rows that the dataset doesn't have, part by part."""
    status = staging.read_matched().status
    for number, span in enumerate(slices(batch.sizes)):
        there = set(staging.columns_of(number))
        part = staging.read_part(number, [name for name in columns if name in there])
        wanted = np.flatnonzero(np.isin(status[span], (NEW, CONFLICT)))
        yield part.take(wanted).to_pandas()


def _judged(spec: ModelSpec, batch: Batch, fresh: HourlyTally, dataset: Table, staging: Staging) -> tuple[int, int]:
    """Return the first hour to judge and the hour after the last one."""
    until, first = max(fresh.rows), min(fresh.rows)
    newest = dataset.newest(str(spec.columns.event_time)) if batch.dataset_version >= 0 else None
    if spec.maturity > timedelta(0) and _all_labelled(spec, batch, staging):
        until = min(until, int((batch.window.until - spec.maturity).timestamp() // _HOUR))
    if newest is None:
        return max(first + FEWEST_WEEKS * WEEK, until - _FIRST_WEEKS * WEEK), until
    return int(newest.timestamp() // _HOUR) + 1, until


def _all_labelled(spec: ModelSpec, batch: Batch, staging: Staging) -> bool:
    target = spec.columns.target
    return not any(frame[target].isna().any() for frame in _parts(batch, staging, [target]) if target in frame)


def _volume_result(volume: VolumeCheck, *, warns: bool) -> ExpectationResult:
    observed = "; ".join(span.summary for span in volume.unusual[:_SHOWN])
    if not volume.learnt:
        observed = f"not judged: fewer than {FEWEST_WEEKS} whole weeks came before"
    elif volume.excused_days and not observed:
        observed = f"{', '.join(volume.excused_days)}: unusual in the way of earlier days"
    return ExpectationResult(
        expectation=VOLUME, passed=not volume.unusual, unexpected=0, observed=observed, warning=warns
    )


def _column_tally(spec: ModelSpec, batch: Batch, staging: Staging, earliest: int, until: int) -> HourlyTally:
    """Return the rows, values and sums of all columns without a role, from an hour on."""
    time = str(spec.columns.event_time)
    roles = {time, spec.columns.label_time, spec.columns.target, *spec.columns.key, *spec.columns.ignore, *OWN}
    columns = [name for name in batch.kinds if name not in roles]
    tally = HourlyTally()
    if batch.dataset_version >= 0:
        dataset = staging.workspace.table(spec.name, "dataset")
        there = [name for name in columns if name in dataset.columns(batch.dataset_version)]
        span = Window(since=_moment(earliest), until=_moment(until))
        tally.add(dataset.batches(span, time, [time, *there], batch.dataset_version), time, there)
    return tally.add(_since(_parts(batch, staging, [time, *columns]), time, _moment(earliest)), time, columns)


def _column_result(unusual: Sequence[UnusualValues], *, warns: bool) -> ExpectationResult:
    observed = "; ".join(values.summary for values in unusual[:_SHOWN])
    return ExpectationResult(expectation=VALUES, passed=not unusual, unexpected=0, observed=observed, warning=warns)


def earliest_hour(rows: HourlyTally, until: int) -> int | None:
    """Return the hour from which on columns are read: thirteen weeks, or fewer where there are very many rows."""
    counted = 0.0
    earliest = until - _COLUMN_WEEKS * WEEK
    for hour in sorted((hour for hour in rows.rows if hour < until), reverse=True):
        counted += rows.rows[hour]
        if counted > COLUMN_ROWS:
            earliest = max(earliest, hour + 1)
            break
    return earliest if until - earliest > FEWEST_WEEKS * WEEK else None


def _since(frames: Iterator[pd.DataFrame], time: str, since: datetime) -> Iterator[pd.DataFrame]:
    for frame in frames:
        yield frame[pd.to_datetime(frame[time], utc=True) >= since]


def _age_result(spec: ModelSpec, batch: Batch, staging: Staging, *, warns: bool) -> Iterator[ExpectationResult]:
    ages = [age for turn, age in _ages(spec, staging.workspace).items() if turn != batch.turn_id]
    newest = newest_row(spec, batch, staging)
    if newest is not None and len(ages) >= _FEWEST_TURNS:
        observed = stale_row(newest, batch.window.until, ages)
        yield ExpectationResult(expectation=AGE, passed=not observed, unexpected=0, observed=observed, warning=warns)


def stale_row(newest: datetime, until: datetime, ages: Sequence[float]) -> str:
    """Return in words how much older the newest row is than usual; empty if it isn't.

    One earlier turn may have met an outage, so the second largest age counts.

    Args:
        newest: Event time of the newest row.
        until: The moment of the turn.
        ages: How old the newest row was in earlier turns, in seconds.
    """
    age, usual = (until - newest).total_seconds(), sorted(ages)[-2]
    if age <= _PATIENCE * usual + _HOUR:
        return ""
    now, before = (format_duration(timedelta(minutes=round(seconds / 60))) for seconds in (age, usual))
    return (
        f"the newest row is of {newest:%Y-%m-%d %H:%M}, {now} before the turn's moment; up to {before} was usual in "
        f"{len(ages)} earlier turns"
    )


def _ages(spec: ModelSpec, workspace: Workspace) -> dict[str, float]:
    path = _ages_path(spec, workspace)
    return dict(json.loads(workspace.read(path))) if workspace.exists(path) else {}


def _ages_path(spec: ModelSpec, workspace: Workspace) -> str:
    return workspace.file(spec.name, "ages.json")


def _moment(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * _HOUR, UTC)
