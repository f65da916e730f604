"""The predictions of a window: counted over the reference's cells, chunk by chunk, with a sample to draw."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.tasks.core.records import Window
from everfit.tasks.predictions import prediction_log
from everfit.tasks.statistics.histograms import Histograms, count_chunks
from everfit.tasks.statistics.profile import Profile
from everfit.tasks.storage.tables import KEY, Table


@dataclass
class LivePredictions:
    """The answered predictions of a window.

    Attributes:
        window: Of event time.
        counts: Of all rows over the cells of the champion's profile. Predictions of other versions than the champion
            count as missing: they say nothing of how the champion's have moved.
        newest: Event time of the newest row.
        sample: Some rows, the same ones in whatever order the log gives them.
        versions: Rows by model version.
        latencies: In milliseconds, of the rows that have one.
        outliers: How unlike the training data each row is, of the rows that say so.
        outlier_above: From where on a row is flagged.
    """

    window: Window
    counts: Histograms
    newest: datetime | None
    sample: pd.DataFrame
    versions: dict[int, int]
    latencies: npt.NDArray[np.float64]
    outliers: npt.NDArray[np.float64]
    outlier_above: float = 0.999

    @property
    def rows(self) -> int:
        """Answered predictions."""
        return self.counts.rows


@dataclass
class _Pass:
    """The parts of one reading of the log, besides the counts."""

    event_time: str
    version: int
    rows: int
    newest: pd.Timestamp | None = None
    samples: list[pd.DataFrame] = field(default_factory=list)
    bound: int = np.iinfo(np.uint64).max
    versions: dict[int, int] = field(default_factory=dict)
    latencies: list[npt.NDArray[np.float64]] = field(default_factory=list)
    outliers: list[npt.NDArray[np.float64]] = field(default_factory=list)

    def over(self, chunks: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for chunk in chunks:
            rows = chunk[chunk[prediction_log.ARM].isin(prediction_log.ANSWERED)]
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
            self._draw(rows)
            yield rows

    def _draw(self, rows: pd.DataFrame) -> None:
        """Keep the rows whose hashes are the least: a sample that doesn't depend on the order of the log."""
        hashes = pd.util.hash_array(rows[KEY].to_numpy())
        chosen = hashes <= self.bound
        self.samples.append(rows[chosen].assign(_draw=hashes[chosen]))
        if sum(map(len, self.samples)) > 4 * self.rows:
            self._keep()

    def _keep(self) -> None:
        kept = pd.concat(self.samples).nsmallest(self.rows, "_draw")
        self.samples = [kept]
        if len(kept) == self.rows:
            self.bound = int(kept["_draw"].iloc[-1])

    @property
    def sample(self) -> pd.DataFrame:
        if not self.samples:
            return pd.DataFrame()
        self._keep()
        return self.samples[0].drop(columns="_draw").reset_index(drop=True)


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
) -> LivePredictions:
    """Read a window of the prediction log in bounded memory.

    Args:
        log: The model's prediction log.
        window: Of event time.
        event_time: Its column.
        profile: The champion's.
        version: The champion.
        sample_rows: How many rows to keep, for what needs rows and not counts.
        also: Further columns of the sample.
        outlier_above: From which outlier score a row is flagged.
        implausible_ranges: As for `histograms`.
    """
    reading = _Pass(event_time, version, sample_rows)
    there = set(log.columns()) if log.exists() else set()
    own = [
        KEY,
        event_time,
        prediction_log.ARM,
        prediction_log.MODEL_VERSION,
        prediction_log.LATENCY,
        prediction_log.OUTLIER,
    ]
    wanted = [
        name for name in dict.fromkeys([*own, *also, *(column.name for column in profile.columns)]) if name in there
    ]
    chunks = log.batches(window, event_time, wanted) if there else iter(())
    counts = count_chunks(reading.over(chunks), profile, implausible_ranges=implausible_ranges)
    return LivePredictions(
        window=window,
        counts=counts,
        newest=None if reading.newest is None else reading.newest.to_pydatetime(),
        sample=reading.sample,
        versions=dict(sorted(reading.versions.items())),
        latencies=np.concatenate([*reading.latencies, np.empty(0)]),
        outliers=np.concatenate([*reading.outliers, np.empty(0)]),
        outlier_above=outlier_above,
    )
