"""Split a snapshot's rows by time: what is fitted on, what selects, what judges."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.policy import format_duration
from everfit.blocks.spec import ModelSpec
from everfit.tasks.records import Record, Snapshot, Window
from everfit.tasks.scores import class_list
from everfit.tasks.tables import KEY, Table
from everfit.tasks.workspace import Workspace

VALIDATION_SHARE = 0.2
"""The last part of the training rows, in time order, that candidates are chosen by."""


class Split(Record):
    """The spans of event time that a turn's rows fall into; all their labels are mature at `until`."""

    training: Window
    holdout: Window

    @property
    def whole(self) -> Window:
        """Training and hold-out together: what a refit sees."""
        return Window(since=self.training.since, until=self.holdout.until)


def split_window(spec: ModelSpec, until: datetime) -> Split:
    """Cut the time before `until` into training and hold-out.

    Both end before labels stop being mature: at `until - maturity`.
    """
    mature_until = until - spec.maturity
    since = mature_until - spec.training.window if isinstance(spec.training.window, timedelta) else None
    boundary = mature_until - spec.training.holdout
    return Split(training=Window(since=since, until=boundary), holdout=Window(since=boundary, until=mature_until))


def label_is_visible(frame: pd.DataFrame, spec: ModelSpec, until: datetime) -> npt.NDArray[np.bool_]:
    """Tell which rows' labels are known and mature at `until`; shape (rows,).

    A label is visible when its label time (or, without one, its event time plus the maturity) is not after `until`.
    """
    labelled = frame[spec.columns.target].notna()
    visible = labelled & (frame[spec.columns.event_time] + spec.maturity <= until)
    if spec.columns.label_time is not None:
        visible &= frame[spec.columns.label_time] <= until  # a missing label time compares as false
    return np.asarray(visible, dtype=np.bool_)


def feature_names(spec: ModelSpec, columns: dict[str, str]) -> list[str]:
    """The columns that the model may look at: those of the spec, or all that are named for nothing else."""
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
        until: What is known at this moment is all that is known.
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
        names = feature_names(self.spec, self._dataset.columns())
        if not names:
            raise DataError(f"{self.spec.name}: no column is left to learn from; list some under columns.features")
        return names

    @property
    def _dataset(self) -> Table:
        return self.workspace.table(self.spec.name, "dataset")

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
        there = self._dataset.columns()
        wanted = [KEY, roles.event_time, roles.target, *filter(None, [roles.label_time]), *self.features]
        wanted += [*roles.protected, *(name for name in also if name in there)]
        frame = self._dataset.read(window, roles.event_time, list(dict.fromkeys(wanted)), self.snapshot.version)
        rows = frame[label_is_visible(frame, spec, self.until)].reset_index(drop=True)
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
