"""Split a snapshot's rows by time: what is fitted on, what selects, what judges."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import DataError
from everfit.blocks.policy import format_duration
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Record, Snapshot, Window
from everfit.tasks.statistics.scores import class_list
from everfit.tasks.storage.tables import KEY, Table
from everfit.tasks.storage.workspace import Workspace


class Sample(Window):
    """A seeded sample of a window's rows, or the rest of them: how rows without event times are split.

    Each class is sampled by itself, so that it has the same share in both parts. A row's side depends on its key, the
    seed and the other rows of its class alone.
    """

    side: Literal["training", "holdout"]
    share: float = Field(gt=0, lt=1, description="Of the rows that are kept out.")
    seed: int

    def __str__(self) -> str:
        share = self.share if self.side == "holdout" else 1 - self.share
        side = "kept out" if self.side == "holdout" else "not kept out"
        return f"the drawn {share:.0%} of the rows known at {self.until:%Y-%m-%d %H:%M} that were {side}"

    def takes(self, rows: pd.DataFrame, by: str | None) -> npt.NDArray[np.bool_]:
        """Tell which rows are on this side; shape (rows,).

        Args:
            rows: With their key hashes.
            by: The column of the classes; None for none.
        """
        draw = pd.util.hash_array(rows[KEY].to_numpy(dtype=np.int64) ^ np.int64(self.seed * 0x9E3779B1 + 1))
        order = pd.Series(draw)
        ranks = order.rank(pct=True) if by is None else order.groupby(rows[by].to_numpy()).rank(pct=True)
        held_out = np.asarray(ranks <= self.share)
        return held_out if self.side == "holdout" else ~held_out


class Split(Record):
    """The spans of event time that a turn's rows fall into; all their labels are mature at `until`."""

    training: Sample | Window
    holdout: Sample | Window
    extended: bool = Field(default=False, description="The hold-out was made longer, being too small to judge by.")

    @property
    def whole(self) -> Window:
        """Training and hold-out together: what a refit sees."""
        return Window(since=self.training.since, until=self.holdout.until)


def split_window(spec: ModelSpec, until: datetime, newest: datetime | None = None) -> Split:
    """Cut the time before `until` into training and hold-out.

    Both end before labels stop being mature: at `until - maturity`. Rows without event times are split by a sample.

    Args:
        spec: The model's spec.
        until: Only data known at this moment counts.
        newest: Event time of the last row, at which the hold-out ends if that is earlier: data that ended long ago.
    """
    mature_until = until - spec.maturity
    if newest is not None and spec.columns.event_time is not None:
        mature_until = min(mature_until, newest + timedelta(microseconds=1))
    widest = spec.training.widest
    since = None if widest is None else mature_until - widest
    if spec.columns.event_time is None:
        sample = {
            "since": since,
            "until": mature_until,
            "share": spec.training.holdout_share,
            "seed": spec.training.seed,
        }
        return Split(
            training=Sample.model_validate({**sample, "side": "training"}),
            holdout=Sample.model_validate({**sample, "side": "holdout"}),
        )
    boundary = mature_until - spec.training.holdout
    return Split(training=Window(since=since, until=boundary), holdout=Window(since=boundary, until=mature_until))


def longer_holdout(split: Split, times: pd.Series, rows: int, earliest: datetime | None) -> Split:
    """Let the hold-out begin earlier, and training end earlier, so that there are more rows to judge by.

    Args:
        split: As it is.
        times: Event times of the training rows, in order.
        rows: How many more are wanted; never more than half of the training rows are taken.
        earliest: Rows from before were seen by a model that is to be judged.
    """
    taken = min(rows, len(times) // 2)
    since = times.iloc[len(times) - taken].to_pydatetime() if taken else split.training.until
    if earliest is not None:
        since = max(since, earliest)
    return Split(
        training=split.training.model_copy(update={"until": since}),
        holdout=split.holdout.model_copy(update={"since": since}),
        extended=True,
    )


def label_is_visible(frame: pd.DataFrame, spec: ModelSpec, until: datetime) -> npt.NDArray[np.bool_]:
    """Tell which rows' labels are known and mature at `until`; shape (rows,).

    A label is visible when its label time (or, without one, its event time plus the maturity) is not after `until`.
    """
    labelled = frame[spec.columns.target].notna()
    visible = labelled & (frame[spec.columns.time] + spec.maturity <= until)
    if spec.columns.label_time is not None:
        visible &= frame[spec.columns.label_time] <= until  # a missing label time compares as false
    return np.asarray(visible, dtype=np.bool_)


def feature_names(spec: ModelSpec, columns: dict[str, str]) -> list[str]:
    """The columns that the model may look at: those of the spec, or all that have no other role."""
    if spec.columns.features is not None:
        return list(spec.columns.features)
    roles = spec.columns.roles()
    return [name for name, kind in columns.items() if name not in roles and name[0] != "_" and "time" not in kind]


@dataclass(frozen=True)
class TrainingData:
    """The rows of a turn: a snapshot, cut by time, as known at `until`.

    Attributes:
        spec: The model's spec.
        snapshot: Which version of the dataset.
        split: Training and hold-out.
        until: Only data known at this moment counts.
        workspace: Where the dataset is.
    """

    spec: ModelSpec
    snapshot: Snapshot
    split: Split
    until: datetime
    workspace: Workspace

    @cached_property
    def features(self) -> list[str]:
        """The columns that the model may look at.

        Raises:
            DataError: none is left.
        """
        names = feature_names(self.spec, self._there)
        if not names:
            raise DataError(f"{self.spec.name}: no column is left to learn from; list some under columns.features")
        return names

    @property
    def _dataset(self) -> Table:
        return self.workspace.table(self.spec.name, "dataset")

    def all_rows(self, window: Window, also: Sequence[str] = ()) -> pd.DataFrame:
        """Read the rows of a window in time order, those among them whose labels are not known yet."""
        since, time = self.split.whole.since, self.spec.columns.time
        kept = window.until <= self.until and (since is None or (window.since is not None and window.since >= since))
        wanted = [*self._columns, *(name for name in also if name in self._there and name not in self._columns)]
        if not kept or len(wanted) > len(self._columns):
            return self._dataset.read(window, time, wanted, self.snapshot.version)
        start = 0 if window.since is None else self._rows[time].searchsorted(pd.Timestamp(window.since))
        stop = self._rows[time].searchsorted(pd.Timestamp(window.until))
        return self._rows.iloc[start:stop].reset_index(drop=True)

    @cached_property
    def _there(self) -> dict[str, str]:
        return self._dataset.columns()

    @cached_property
    def _columns(self) -> list[str]:
        roles = self.spec.columns
        label_time = [] if roles.label_time is None else [roles.label_time]
        return list(dict.fromkeys([KEY, roles.time, roles.target, *label_time, *self.features, *roles.protected]))

    @cached_property
    def _rows(self) -> pd.DataFrame:
        """The turn's rows, read once: each of its steps looks at them."""
        window = Window(since=self.split.whole.since, until=self.until)
        return self._dataset.read(window, self.spec.columns.time, self._columns, self.snapshot.version)

    def told(self) -> str:
        """What another process needs to read the same rows, as JSON."""
        told = {
            "spec": self.spec.content(),
            "snapshot": self.snapshot.model_dump(mode="json"),
            "split": self.split.model_dump(mode="json"),
            "until": self.until.isoformat(),
            "workspace": self.workspace.uri,
        }
        return json.dumps(told, sort_keys=True)

    def __reduce__(self) -> tuple[Callable[[str], "TrainingData"], tuple[str]]:
        """To another process go the names of the rows, and not the rows."""
        return data_told, (self.told(),)

    def rows(self, window: Window, purpose: str, also: Sequence[str] = ()) -> pd.DataFrame:
        """Read the rows of a window whose labels are visible at `until`, in time order.

        Args:
            window: Of event time.
            purpose: What the rows are for, told when there are none.
            also: Columns wanted beside the features, where the dataset has them.

        Returns:
            Features, target, key hash, event time and protected columns.

        Raises:
            DataError: there is no such row.
        """
        spec, roles = self.spec, self.spec.columns
        frame = self.all_rows(window, also)
        rows = frame[label_is_visible(frame, spec, self.until)].reset_index(drop=True)
        if isinstance(window, Sample):
            rows = rows[window.takes(rows, None if spec.task == "regression" else roles.target)].reset_index(drop=True)
        if rows.empty:
            raise DataError(
                f"{spec.name}: no row with a label to {purpose} in {window} as known at {self.until:%Y-%m-%d %H:%M} "
                f"({len(frame):,} rows without a visible label); check columns.label_time, maturity "
                f"({format_duration(spec.maturity)}) and training.holdout ({format_duration(spec.training.holdout)})"
            )
        return rows

    def training_rows(self, window: Window) -> pd.DataFrame:
        """Read the rows of a window to fit a model on.

        Raises:
            DataError: there are none, or their labels are not what the task needs.
        """
        rows = self.rows(window, "train on")
        spec, found = self.spec, class_list(rows[self.spec.columns.target], self.spec.task)
        if spec.task != "regression" and len(found) < 2:
            raise DataError(
                f"{spec.name}: {spec.columns.target!r} is always {found[0]!r} in {window}; two classes are needed"
            )
        if spec.task == "binary" and len(found) > 2:
            raise DataError(
                f"{spec.name}: {spec.columns.target!r} has {len(found)} values (such as {found[:3]!r}) but task is "
                f"'binary'; set task to multiclass or regression"
            )
        return rows


@lru_cache(maxsize=1)
def data_told(told: str) -> TrainingData:
    """The rows that `TrainingData.told` told of; a process that is asked again and again about them reads them once."""
    given = json.loads(told)
    return TrainingData(
        ModelSpec.model_validate(given["spec"]),
        Snapshot.model_validate(given["snapshot"]),
        Split.model_validate(given["split"]),
        datetime.fromisoformat(given["until"]),
        Workspace(given["workspace"]),
    )
