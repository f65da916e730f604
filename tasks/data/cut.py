"""Cut the rows before a moment into training and hold-out."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from everfit.blocks.errors import SpecError
from everfit.blocks.policy import format_duration
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.data.row_choice import label_is_visible
from everfit.tasks.data.split import Sample, Split
from everfit.tasks.storage.tables import Table

_CHOSEN, _JUDGED = 1 / 6, 1 / 3
"""The oldest sixth of the rows that the champion has not seen is only for learning, the next sixth chooses the first
model, and the rest judges."""
_LEAST_PART = 1 / 16
"""The least share of the hold-out's rows that judges a refitted model: a bound on the number of refits."""


def split_window(
    spec: ModelSpec, until: datetime, newest: datetime | None = None, unseen: pd.Series | None = None
) -> Split:
    """Cut the time before `until` into training and hold-out.

    Both end before labels stop being mature: at `until - maturity`. Rows without event times are sampled. The first
    champion's hold-out has the length that the spec gives it. Later, the newer two thirds of the rows that the champion
    has not seen are the hold-out: whatever came since its training is learned from or judged on, and a turn that comes
    soon after a release has a short hold-out instead of a challenger that has seen less than the champion.

    Args:
        spec: Spec of the model.
        until: Time of the turn; later labels are ignored.
        newest: Event time of the newest row; the hold-out ends there if the data ended earlier.
        unseen: Event times of the labelled rows that the champion has not seen, in order; shape (rows,). None for a
            first champion.
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
    boundary, chosen_from = mature_until - spec.training.holdout, None
    if unseen is not None:
        unseen = unseen[(unseen < mature_until) & (unseen >= since if since is not None else True)]
    if unseen is not None and len(unseen) > 1:
        boundary = max(unseen.iloc[int(_JUDGED * len(unseen))], unseen.iloc[0]).to_pydatetime()
        start = unseen.iloc[int(_CHOSEN * len(unseen))].to_pydatetime()
        chosen_from = start if unseen.iloc[0] < start < boundary else None
    return Split(
        training=Window(since=since, until=boundary),
        holdout=Window(since=boundary, until=mature_until),
        chosen_from=chosen_from,
    )


def with_refits(split: Split, times: pd.Series, spec: ModelSpec) -> Split:
    """Return the split with the times within the hold-out at which the model is fitted again.

    Each of these times halves the rest of the hold-out, so that the newest model is judged on few but the newest rows:
    after a change, it is the first that has seen the new world.

    Args:
        split: The split.
        times: Event times of the hold-out's labelled rows, in order; shape (rows,).
        spec: Its gate says how few rows are too few to judge by, and `training.evidence` how much may be spent.
    """
    if isinstance(split.holdout, Sample) or split.holdout.since is None:
        return split
    share = _LEAST_PART if spec.training.evidence == "full" else 4 * _LEAST_PART
    least = max(spec.gate.min_rows, share * len(times))
    refits: list[datetime] = []
    start, previous = 0, split.holdout.since
    while True:
        start += (len(times) - start) // 2
        if len(times) - start < least:
            break
        moment = times.iloc[start].to_pydatetime()
        if moment <= previous:
            break
        refits.append(moment)
        previous = moment
    return split.model_copy(update={"refits": tuple(refits)})


def rows_to_move(spec: ModelSpec, labels: pd.Series, held_out: pd.Series) -> int:
    """Return how many of the newest training rows a hold-out needs that is too small.

    It then has twice the rows that the gate asks for, and twice the rows of its rarest class. Half of the rare training
    rows stay.

    Args:
        spec: Its gate says how few rows are too few.
        labels: Targets of the training rows, in time order; shape (rows,).
        held_out: Targets of the hold-out; shape (hold-out rows,).
    """
    gate = spec.gate
    wanted = max(2 * gate.min_rows - len(held_out), len(held_out))
    if spec.task == "regression":
        return wanted
    newest_first = labels.iloc[::-1].to_numpy()
    counts = labels.value_counts()
    for value in set(held_out.unique()) | set(counts.index[:2]):
        missing = 2 * gate.min_class_rows - int((held_out == value).sum())
        of_class = np.flatnonzero(newest_first == value)
        if missing > 0 and len(of_class):
            wanted = max(wanted, int(of_class[:missing][-1]) + 1)
    second = np.flatnonzero(newest_first == counts.index[1]) if len(counts) > 1 else np.empty(0, dtype=np.intp)
    return min(wanted, int(second[len(second) // 2])) if len(second) else wanted


def longer_holdout(split: Split, times: pd.Series, rows: int, earliest: datetime | None) -> Split:
    """Start the hold-out earlier, so that it has more rows, and end training there.

    Args:
        split: The current split.
        times: Event times of the training rows, in order; shape (rows,).
        rows: Number of rows to add; at most half of the training rows are moved.
        earliest: Earliest start of the hold-out: a compared model was trained on earlier rows.
    """
    selected_rows = min(rows, len(times) // 2)
    since = times.iloc[len(times) - selected_rows].to_pydatetime() if selected_rows else split.training.until
    if earliest is not None:
        since = max(since, earliest)
    return Split(
        training=split.training.model_copy(update={"until": since}),
        holdout=split.holdout.model_copy(update={"since": since}),
        extended=True,
    )  # no refit within it: a hold-out that was too short has few rows


def continued(spec: ModelSpec, table: Table, split: Split, until: datetime) -> Split:
    """Return an earlier split whose hold-out goes on to where labels are mature by now.

    Args:
        spec: Spec of the model, whose rows have event times.
        table: The dataset.
        split: The earlier split.
        until: Time of the turn; later labels are ignored.
    """
    newest = None if spec.columns.event_time is None else table.newest(spec.columns.event_time, before=until)
    ends = max(split.holdout.until, split_window(spec, until, newest).holdout.until)
    return Split(training=split.training, holdout=split.holdout.model_copy(update={"until": ends}))


def cut(spec: ModelSpec, table: Table, until: datetime, seen: datetime | None = None) -> Split:
    """Cut a dataset's rows as they are known at a moment.

    Raises:
        SpecError: The maturity is longer than the data reaches back, so no label is mature.

    Args:
        spec: Spec of the model.
        table: The dataset.
        until: Time of the turn; later labels are ignored.
        seen: Event time up to which the champion has seen rows; None without a champion.
    """
    time = spec.columns.event_time
    if time is None:
        return split_window(spec, until)
    newest = table.newest(time, before=until)
    _check_maturity(spec, table.oldest(time), until)
    unseen = None if seen is None or seen >= until else _labelled_times(spec, table, seen, until)
    split = split_window(spec, until, newest, unseen)
    if split.holdout.since is None or split.holdout.since >= until:
        return split
    return with_refits(split, _labelled_times(spec, table, split.holdout.since, until), spec)


def _check_maturity(spec: ModelSpec, oldest: datetime | None, until: datetime) -> None:
    if oldest is not None and until - oldest <= spec.maturity:
        raise SpecError(
            f"{spec.name}: maturity {format_duration(spec.maturity)!r} is longer than the data reaches back: no label "
            f"is mature at {until:%Y-%m-%d %H:%M}, as the first row is of {oldest:%Y-%m-%d %H:%M}; shorten it, or wait"
        )


def _labelled_times(spec: ModelSpec, table: Table, since: datetime, until: datetime) -> pd.Series:
    """Return the event times of the rows whose labels are visible at `until`, in order; shape (rows,)."""
    roles = spec.columns
    names = [roles.time, roles.target, *([] if roles.label_time is None else [roles.label_time])]
    rows = table.read(Window(since=since, until=until), roles.time, names)
    return rows[roles.time][label_is_visible(rows, spec, until)].sort_values(ignore_index=True)
