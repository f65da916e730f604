"""The predictions of a window: counted over the reference's cells, chunk by chunk, with a sample to draw."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.row_sample import RowSample
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.client_shares import counted_shares, drawn
from everfit.tasks.statistics.histograms import Histograms, count_chunks
from everfit.tasks.statistics.profile import Profile
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
        outliers: How unlike the training data each row is, of the rows that say so.
        outlier_above: From where on a row is flagged.
        clients: Rows by client.
        left_out: Rows of clients that have more than their largest share; nothing else counts them.
    """

    window: Window
    counts: Histograms
    newest: datetime | None
    sample: pd.DataFrame
    versions: dict[int, int]
    latencies: npt.NDArray[np.float64]
    outliers: npt.NDArray[np.float64]
    outlier_above: float = 0.999
    clients: Mapping[str, int] = field(default_factory=dict)
    left_out: int = 0

    @property
    def rows(self) -> int:
        """Answered predictions."""
        return self.counts.rows + self.left_out


@dataclass
class _Pass:
    """The parts of one reading of the log, besides the counts."""

    event_time: str
    version: int
    sample: RowSample
    shares: Mapping[str, float] = field(default_factory=dict)
    clients: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    newest: pd.Timestamp | None = None
    versions: dict[int, int] = field(default_factory=dict)
    latencies: list[npt.NDArray[np.float64]] = field(default_factory=list)
    outliers: list[npt.NDArray[np.float64]] = field(default_factory=list)

    def over(self, chunks: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for chunk in chunks:
            rows = chunk[chunk[prediction_log.ARM].isin(prediction_log.ANSWERED)]
            if rows.empty:
                continue
            if prediction_log.CLIENT in rows:
                for client, count in rows[prediction_log.CLIENT].value_counts().items():
                    self.clients[str(client)] = self.clients.get(str(client), 0) + int(count)
                counted = drawn(rows[KEY], rows[prediction_log.CLIENT], self.shares)
                self.left_out += int((~counted).sum())
                rows = rows[counted]
                if rows.empty:
                    continue
            newest = rows[self.event_time].max()
            self.newest = newest if self.newest is None else max(self.newest, newest)
            for version, count in rows[prediction_log.MODEL_VERSION].value_counts().items():
                self.versions[int(str(version))] = self.versions.get(int(str(version)), 0) + int(count)
            for name, gathered in ((prediction_log.LATENCY, self.latencies), (prediction_log.OUTLIER, self.outliers)):
                gathered.append(rows[name].dropna().to_numpy(dtype=np.float64))
            others = (rows[prediction_log.MODEL_VERSION] != self.version).to_numpy()
            if others.any():
                replaced = [name for name in (prediction_log.PREDICTION, prediction_log.SCORE) if name in rows]
                rows = rows.copy()
                rows.loc[others, replaced] = None
            self.sample.add(rows)
            yield rows


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
    """
    there = set(log.columns()) if log.exists() else set()
    shares: dict[str, float] = {}
    if max_client_share < 1 and prediction_log.CLIENT in there:
        rows = prediction_log.read(log, window, event_time, columns=[event_time, prediction_log.CLIENT])
        counts = {str(client): int(count) for client, count in rows[prediction_log.CLIENT].value_counts().items()}
        shares = counted_shares(counts, max_client_share, prediction_log.OWN_CLIENTS)
    reading = _Pass(event_time, version, RowSample(sample_rows), shares)
    own = [
        KEY,
        event_time,
        prediction_log.ARM,
        prediction_log.MODEL_VERSION,
        prediction_log.LATENCY,
        prediction_log.OUTLIER,
        prediction_log.CLIENT,
    ]
    wanted = [
        name for name in dict.fromkeys([*own, *also, *(column.name for column in profile.columns)]) if name in there
    ]
    chunks = log.batches(window, event_time, wanted) if there else iter(())
    counted = count_chunks(reading.over(chunks), profile, implausible_ranges=implausible_ranges)
    return LivePredictions(
        window=window,
        counts=counted,
        newest=None if reading.newest is None else reading.newest.to_pydatetime(),
        sample=reading.sample.frame,
        versions=dict(sorted(reading.versions.items())),
        latencies=np.concatenate([*reading.latencies, np.empty(0)]),
        outliers=np.concatenate([*reading.outliers, np.empty(0)]),
        outlier_above=outlier_above,
        clients=dict(sorted(reading.clients.items())),
        left_out=reading.left_out,
    )
