"""The predictions of a window: counted over the reference's cells, part by part, with a sample to draw."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd

from everfit.tasks.core.records import Window
from everfit.tasks.core.spread import Spread, in_turn
from everfit.tasks.monitoring.row_sample import RowSample
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.client_shares import counted_shares, drawn
from everfit.tasks.statistics.histograms import Histograms, count_chunks
from everfit.tasks.statistics.profile import Profile
from everfit.tasks.statistics.quantile_sketch import QuantileSketch
from everfit.tasks.storage.table_parts import TablePart, table_parts
from everfit.tasks.storage.tables import KEY, Table


@dataclass
class LivePredictions:
    """The answered predictions of a window.

    Attributes:
        window: The span of event time.
        counts: The counts of all rows over the cells of the champion's profile. Predictions of other versions than the
            champion count as missing: they say nothing of how the champion's have moved.
        newest: Event time of the newest row.
        sample: Some rows, the same ones in whatever order the log gives them.
        versions: Rows by model version.
        latencies: In milliseconds, of the rows that have one.
        outliers: Rows that say how unlike the training data they are, and those of them that are flagged.
        clients: Rows by client.
        left_out: Rows of clients that have more than their largest share; nothing else counts them.
    """

    window: Window
    counts: Histograms
    newest: datetime | None
    sample: pd.DataFrame
    versions: dict[int, int]
    latencies: QuantileSketch = field(default_factory=QuantileSketch)
    outliers: tuple[int, int] = (0, 0)
    clients: Mapping[str, int] = field(default_factory=dict)
    left_out: int = 0

    @property
    def rows(self) -> int:
        """Answered predictions."""
        return self.counts.rows + self.left_out


@dataclass(frozen=True)
class _Reading:
    """The request that all parts of a window share.

    Attributes:
        log: The prediction log.
        window: The span of event time.
        event_time: Its column.
        columns: The columns to read.
        profile: The champion's.
        version: The champion.
        sample_rows: Rows to keep.
        outlier_above: From which outlier score a row is flagged.
        implausible_ranges: As for `histograms`.
        shares: The share of the rows that counts, of each client that has too many.
    """

    log: Table
    window: Window
    event_time: str
    columns: tuple[str, ...]
    profile: Profile
    version: int
    sample_rows: int
    outlier_above: float
    implausible_ranges: float
    shares: Mapping[str, float]


@dataclass
class _Pass:
    """Figures of some rows of the window; those of parts add up."""

    sample: RowSample
    counts: Histograms | None = None
    newest: pd.Timestamp | None = None
    versions: Counter[int] = field(default_factory=Counter)
    latencies: QuantileSketch = field(default_factory=QuantileSketch)
    outliers: tuple[int, int] = (0, 0)
    clients: Counter[str] = field(default_factory=Counter)
    left_out: int = 0

    def over(self, chunks: Iterator[pd.DataFrame], reading: _Reading) -> Iterator[pd.DataFrame]:
        for chunk in chunks:
            rows = chunk[chunk[prediction_log.ARM].isin(prediction_log.ANSWERED)]
            if rows.empty:
                continue
            if prediction_log.CLIENT in rows:
                self.clients += _by_client(rows)
                counted = drawn(rows[KEY], rows[prediction_log.CLIENT], reading.shares)
                self.left_out += int((~counted).sum())
                rows = rows[counted]
                if rows.empty:
                    continue
            newest = rows[reading.event_time].max()
            self.newest = newest if self.newest is None else max(self.newest, newest)
            versions = rows[prediction_log.MODEL_VERSION].value_counts()
            self.versions += Counter({int(str(version)): int(count) for version, count in versions.items()})
            self.latencies.add(rows[prediction_log.LATENCY].dropna().to_numpy(dtype=np.float64))
            outliers = rows[prediction_log.OUTLIER].dropna().to_numpy(dtype=np.float64)
            flagged = int((outliers > reading.outlier_above).sum())
            self.outliers = self.outliers[0] + outliers.size, self.outliers[1] + flagged
            others = (rows[prediction_log.MODEL_VERSION] != reading.version).to_numpy()
            if others.any():
                replaced = [name for name in (prediction_log.PREDICTION, prediction_log.SCORE) if name in rows]
                rows = rows.copy()
                rows.loc[others, replaced] = None
            self.sample.add(rows)
            yield rows

    def add(self, other: "_Pass") -> None:
        """Add the figures of later rows."""
        assert other.counts is not None  # noqa: S101 - a part is counted before it is added
        self.counts = other.counts if self.counts is None else self.counts + other.counts
        known = [newest for newest in (self.newest, other.newest) if newest is not None]
        self.newest = max(known, default=None)
        self.versions += other.versions
        self.latencies += other.latencies
        self.outliers = self.outliers[0] + other.outliers[0], self.outliers[1] + other.outliers[1]
        self.clients += other.clients
        self.left_out += other.left_out
        self.sample.merge(other.sample)


def _read_part(reading: _Reading, part: TablePart | None) -> _Pass:
    """Read a part of the window, or nothing."""
    found = _Pass(RowSample(reading.sample_rows))
    chunks = (
        iter(()) if part is None else part.batches(reading.log, reading.window, reading.event_time, reading.columns)
    )
    counted = found.over(chunks, reading)
    found.counts = count_chunks(counted, reading.profile, implausible_ranges=reading.implausible_ranges)
    found.sample.trim()
    return found


def _count_clients(asked: tuple[Table, Window, str], part: TablePart) -> "Counter[str]":
    log, window, event_time = asked
    chunks = part.batches(log, window, event_time, [event_time, prediction_log.ARM, prediction_log.CLIENT])
    answered = (chunk[chunk[prediction_log.ARM].isin(prediction_log.ANSWERED)] for chunk in chunks)
    return sum(map(_by_client, answered), Counter())


def _by_client(rows: pd.DataFrame) -> "Counter[str]":
    return Counter({str(name): int(count) for name, count in rows[prediction_log.CLIENT].value_counts().items()})


def read_live_predictions(
    log: Table,
    window: Window,
    event_time: str,
    profile: Profile,
    version: int,
    *,
    sample_rows: int,
    also: Sequence[str] = (),
    outlier_above: float = 0.999,
    implausible_ranges: float = 10,
    max_client_share: float = 1,
    spread: Spread = in_turn,
) -> LivePredictions:
    """Read a window of the prediction log in bounded memory.

    Args:
        log: The model's prediction log.
        window: The span of event time.
        event_time: Its column.
        profile: The champion's.
        version: The champion.
        sample_rows: How many rows to keep, for what needs rows and not counts.
        also: Further columns of the sample.
        outlier_above: From which outlier score a row is flagged.
        implausible_ranges: As for `histograms`.
        max_client_share: The largest share of one client's rows that counts.
        spread: Where the parts of the log are read.
    """
    parts = table_parts(log, window)
    there = set(log.columns()) if parts else set()
    shares: dict[str, float] = {}
    if max_client_share < 1 and prediction_log.CLIENT in there:
        counts = sum(spread(_count_clients, (log, window, event_time), parts), Counter[str]())
        shares = counted_shares(counts, max_client_share, prediction_log.OWN_CLIENTS)
    own = [
        KEY,
        event_time,
        prediction_log.ARM,
        prediction_log.MODEL_VERSION,
        prediction_log.LATENCY,
        prediction_log.OUTLIER,
        prediction_log.CLIENT,
    ]
    wanted = dict.fromkeys([*own, *also, *(column.name for column in profile.columns)])
    reading = _Reading(
        log=log,
        window=window,
        event_time=event_time,
        columns=tuple(name for name in wanted if name in there),
        profile=profile,
        version=version,
        sample_rows=sample_rows,
        outlier_above=outlier_above,
        implausible_ranges=implausible_ranges,
        shares=shares,
    )
    found = _read_part(reading, None)
    for part in spread(_read_part, reading, parts):
        found.add(part)
    assert found.counts is not None  # noqa: S101 - also those of no row are known
    return LivePredictions(
        window=window,
        counts=found.counts,
        newest=None if found.newest is None else found.newest.to_pydatetime(),
        sample=found.sample.frame,
        versions=dict(sorted(found.versions.items())),
        latencies=found.latencies,
        outliers=found.outliers,
        clients=dict(sorted(found.clients.items())),
        left_out=found.left_out,
    )
