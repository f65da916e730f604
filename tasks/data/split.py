"""The rows of a turn: a snapshot, split by time into training and hold-out."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import AwareDatetime, Field

from everfit.blocks.errors import DataError, NotEnoughError
from everfit.blocks.policy import format_duration
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Record, Snapshot, Window
from everfit.tasks.data.row_choice import chosen_rows, infinite_columns, kept_rows, label_is_visible, refuse_infinite
from everfit.tasks.data.thinning import Thinning, thinning_of
from everfit.tasks.statistics.early_labels import label_arrival
from everfit.tasks.statistics.scores import class_list
from everfit.tasks.storage.tables import KEY, Table
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


class Sample(Window):
    """A seeded sample of a window's rows, or the other rows: the split for rows without event times.

    Each class is sampled separately, so both parts have equal class shares. The part of a row depends only on its key,
    the seed and the other rows of its class.
    """

    side: Literal["training", "holdout"]
    share: float = Field(gt=0, lt=1, description="Share of the rows in the hold-out.")
    seed: int

    def __str__(self) -> str:
        share = self.share if self.side == "holdout" else 1 - self.share
        side = "held out" if self.side == "holdout" else "not held out"
        return f"the random {share:.0%} of the rows known at {self.until:%Y-%m-%d %H:%M} that were {side}"

    def takes(self, rows: pd.DataFrame, by: str | None) -> npt.NDArray[np.bool_]:
        """Return which rows are in this part; shape (rows,).

        Args:
            rows: Rows with their key hashes.
            by: Column of the classes, or None.
        """
        draw = pd.util.hash_array(rows[KEY].to_numpy(dtype=np.int64) ^ np.int64(self.seed * 0x9E3779B1 + 1))
        order = pd.Series(draw)
        ranks = order.rank(pct=True) if by is None else order.groupby(rows[by].to_numpy()).rank(pct=True)
        held_out = np.asarray(ranks <= self.share)
        return held_out if self.side == "holdout" else ~held_out


class Split(Record):
    """Spans of event time for training and hold-out; all labels are mature at `until`."""

    training: Sample | Window
    holdout: Sample | Window
    extended: bool = Field(default=False, description="Whether a too small hold-out was extended.")
    chosen_from: AwareDatetime | None = Field(
        default=None,
        description="Start of the rows before the hold-out by which the first of the models to be judged is chosen.",
    )
    refits: tuple[AwareDatetime, ...] = Field(
        default=(),
        description="Times within the hold-out at which the model is fitted again, on all rows before, to be judged on "
        "the rows up to the next of these times.",
    )

    @property
    def whole(self) -> Window:
        """Return training and hold-out together, the rows of a refit."""
        return Window(since=self.training.since, until=self.holdout.until)


WEIGHT = "_weight"
"""Column with the weight of each training row, where fresh rows are among them."""


def feature_names(spec: ModelSpec, columns: dict[str, str]) -> list[str]:
    """Return the columns that the model uses: those that the spec lists, or all that have no other role."""
    if spec.columns.features is not None:
        return list(spec.columns.features)
    roles = spec.columns.roles()
    return [name for name, kind in columns.items() if name not in roles and name[0] != "_" and "time" not in kind]


@dataclass(frozen=True)
class TrainingData:
    """The rows of a turn: a snapshot, cut by time, as known at `until`.

    Attributes:
        spec: Spec of the model.
        snapshot: Version of the dataset.
        split: Training and hold-out.
        until: Time of the turn; later labels are ignored.
        workspace: Workspace of the dataset.
    """

    spec: ModelSpec
    snapshot: Snapshot
    split: Split
    until: datetime
    workspace: Workspace

    @cached_property
    def features(self) -> list[str]:
        """Return the names of the columns that the model uses.

        Raises:
            DataError: If no column is left.
        """
        names = feature_names(self.spec, self._there)
        if not names:
            raise DataError(f"{self.spec.name}: no column is left to learn from; list some under columns.features")
        return names

    @cached_property
    def members(self) -> dict[int, dict[str, "Pipeline"]]:
        """Models that were tried and that an ensemble averages: by fold, and by the JSON of candidate and setting."""
        return {}

    @property
    def dataset(self) -> Table:
        """The table of the rows."""
        return self.workspace.table(self.spec.name, "dataset")

    def all_rows(self, window: Window, also: Sequence[str] = ()) -> pd.DataFrame:
        """Read the rows of a window in time order, including rows whose labels aren't known yet."""
        held = self._held(window, also)
        if held is not None:
            return held
        return self._read(window, [*self.columns, *(name for name in also if self._is_further(name))])

    def _is_further(self, name: str) -> bool:
        return name in self._there and name not in self.columns

    def _held(self, window: Window, also: Sequence[str]) -> pd.DataFrame | None:
        """Return rows that are in memory already, without a copy; None for others."""
        since, time = self.split.whole.since, self.spec.columns.time
        kept = window.until <= self.until and (since is None or (window.since is not None and window.since >= since))
        if not kept or any(map(self._is_further, also)):
            return None
        start = 0 if window.since is None else self._rows[time].searchsorted(pd.Timestamp(window.since))
        stop = self._rows[time].searchsorted(pd.Timestamp(window.until))
        return self._rows.iloc[start:stop].reset_index(drop=True)

    @cached_property
    def _there(self) -> dict[str, str]:
        return self.dataset.columns()

    @cached_property
    def columns(self) -> list[str]:
        """The columns that training, judging and choosing rows need."""
        roles = self.spec.columns
        label_time = [] if roles.label_time is None else [roles.label_time]
        entity = [roles.entity] if roles.entity is not None and roles.entity in self._there else []
        return list(
            dict.fromkeys([KEY, roles.time, roles.target, *label_time, *self.features, *roles.protected, *entity])
        )

    @cached_property
    def _rows(self) -> pd.DataFrame:
        """The turn's rows, read once for all of its steps."""
        return self._read(Window(since=self.split.whole.since, until=self.until), self.columns)

    @cached_property
    def _are_finite(self) -> bool:
        """Whether the rows in memory have no number that is infinite or too large."""
        return not infinite_columns(self._rows)

    @cached_property
    def thinning(self) -> Thinning | None:
        """The sample of the rows before the hold-out, if the spec limits them and there are more."""
        most = self.spec.training.sample
        if most is None:
            return None
        return thinning_of(self.dataset, self.spec, self.split.training, self.until, self.snapshot.version, most)

    def _read(self, window: Window, columns: list[str]) -> pd.DataFrame:
        """Read a window in time order: of the rows before the hold-out, those of the sample."""
        time, version, start = self.spec.columns.time, self.snapshot.version, self.split.holdout.since
        if self.thinning is None or start is None:
            return self.dataset.read(window, time, columns, version)
        read = [
            chunk[(chunk[time] >= start) | self.thinning.takes(chunk, self.spec)]
            for chunk in self.dataset.batches(window, time, columns, version)
        ]
        if not read:
            return self.dataset.read(window, time, columns, version)
        return pd.concat(read, ignore_index=True).sort_values([time, KEY], ignore_index=True)

    def to_json(self) -> str:
        """Return as JSON what another process needs to read the same rows."""
        content = {
            "spec": self.spec.content(),
            "snapshot": self.snapshot.model_dump(mode="json"),
            "split": self.split.model_dump(mode="json"),
            "until": self.until.isoformat(),
            "workspace": self.workspace.uri,
        }
        return json.dumps(content, sort_keys=True)

    def __reduce__(self) -> tuple[Callable[[str], "TrainingData"], tuple[str]]:
        """Pickle the reference to the rows instead of the rows."""
        return training_data_from_json, (self.to_json(),)

    def rows(self, window: Window, purpose: str, also: Sequence[str] = ()) -> pd.DataFrame:
        """Read the rows of a window whose labels are visible at `until`, in time order.

        Args:
            window: Span of event time.
            purpose: Use of the rows, for the error message.
            also: Further columns to read, if the dataset has them.

        Returns:
            Features, target, key hash, event time and protected columns.

        Raises:
            DataError: If there is no such row.
        """
        spec, roles = self.spec, self.spec.columns
        held = self._held(window, also)
        frame = self.all_rows(window, also) if held is None else held
        rows = chosen_rows(frame, label_is_visible(frame, spec, self.until))
        if isinstance(window, Sample):
            rows = rows[window.takes(rows, None if spec.task == "regression" else roles.target)].reset_index(drop=True)
        if held is None or not self._are_finite:
            refuse_infinite(rows, spec.name)
        if rows.empty:
            raise NotEnoughError(
                f"{spec.name}: no row with a label to {purpose} in {window} as known at {self.until:%Y-%m-%d %H:%M} "
                f"({len(frame):,} rows without a visible label); check columns.label_time, maturity "
                f"({format_duration(spec.maturity)}) and training.holdout ({format_duration(spec.training.holdout)})"
            )
        return rows

    @property
    def final_window(self) -> Window:
        """Return the rows of the final fit: all with a mature label, and fresh ones if the spec wants them."""
        whole = self.split.whole
        if self.spec.training.fresh_labels == "ignore" or isinstance(self.split.training, Sample):
            return whole
        wider = whole.model_copy(update={"until": self.until})
        try:
            fresh = self._with_fresh(self.rows(whole, "train on"))
        except NotEnoughError:
            return whole  # too few mature labels say how fast labels come
        return wider if (fresh[self.spec.columns.time] >= whole.until).any() else whole

    def _with_fresh(self, mature: pd.DataFrame) -> pd.DataFrame:
        """Return rows with a mature label and those with an early one, which stand for such rows without a label.

        Raises:
            NotEnoughError: Too few mature labels of one kind say how fast such labels come.
        """
        spec, roles = self.spec, self.spec.columns
        assert roles.label_time is not None  # noqa: S101 - the spec is refused without it
        whole = self.rows(self.split.whole, "train on")
        delays = _days(whole[roles.label_time] - whole[roles.time])
        in_time = (delays >= 0) & (delays <= spec.maturity / timedelta(days=1))
        labels, numeric = whole[roles.target].to_numpy()[in_time], spec.task == "regression"
        arrival = label_arrival(labels, delays[in_time], numeric=numeric)
        young = self.all_rows(Window(since=self.split.whole.until, until=self.until))
        ages = _days(pd.Timestamp(self.until) - young[roles.time])
        known = young[roles.target].notna() & (young[roles.label_time] <= self.until)
        known &= (young[roles.label_time] >= young[roles.time]) & (ages >= arrival.youngest)
        chosen = known.to_numpy(dtype=np.bool_)
        fresh = young[chosen].reset_index(drop=True)
        shares = arrival.known_share(fresh[roles.target].to_numpy(), ages[chosen])
        both: pd.DataFrame = pd.concat(
            [mature.assign(**{WEIGHT: 1.0}), fresh.assign(**{WEIGHT: 1 / shares})], ignore_index=True
        )
        return both

    def training_rows(self, window: Window) -> pd.DataFrame:
        """Read the rows of a window to fit a model on; after the hold-out these are fresh rows with a weight.

        Raises:
            DataError: If there are no rows, or their labels don't fit the task.
        """
        rows = self.rows(window, "train on")
        if window.until > self.split.whole.until:
            rows = self._with_fresh(rows)
        rows = chosen_rows(rows, ~kept_rows(rows, self.spec))
        if self.thinning is not None:  # of the hold-out, all rows are read
            rows = rows[self.thinning.takes(rows, self.spec)].reset_index(drop=True)
        spec, classes = self.spec, class_list(rows[self.spec.columns.target], self.spec.task)
        if spec.task != "regression" and len(classes) < 2:
            raise DataError(
                f"{spec.name}: {spec.columns.target!r} is always {classes[0]!r} in {window}; two classes are needed"
            )
        if spec.task == "binary" and len(classes) > 2:
            raise DataError(
                f"{spec.name}: {spec.columns.target!r} has {len(classes)} values (such as {classes[:3]!r}) but task is "
                f"'binary'; set task to multiclass or regression"
            )
        return rows


def _days(spans: "pd.Series[pd.Timedelta]") -> npt.NDArray[np.float64]:
    return spans.dt.total_seconds().to_numpy(dtype=np.float64) / 86_400


@lru_cache(maxsize=1)
def training_data_from_json(text: str) -> TrainingData:
    """Return the rows for `TrainingData.to_json`; a process reads them once for all of its requests."""
    content = json.loads(text)
    return TrainingData(
        ModelSpec.model_validate(content["spec"]),
        Snapshot.model_validate(content["snapshot"]),
        Split.model_validate(content["split"]),
        datetime.fromisoformat(content["until"]),
        Workspace(content["workspace"]),
    )
