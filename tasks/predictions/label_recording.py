"""Record labels: compare them with those that the table has, and add what is new."""

import contextlib
import hashlib
import random
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import DataError
from everfit.tasks.core.records import Record
from everfit.tasks.predictions.label_index import LabelIndex
from everfit.tasks.predictions.labels import INCLUSION, LABEL, LABEL_TIME, ORIGIN, REVISION
from everfit.tasks.storage.deleted_keys import DeletedKeys
from everfit.tasks.storage.tables import DAY, KEY, ConflictError, Table

_REQUEST = "_request"
_COLUMNS = [KEY, LABEL, LABEL_TIME, ORIGIN, REVISION, INCLUSION]
_AFTER_ALL = 2**40
"""Above every revision of a table."""


class RecordedLabels(Record):
    """Counts of received labels. Always `read == added + corrected + unchanged + older + deleted`."""

    read: int = Field(default=0, description="Received labels.")
    added: int = Field(default=0, description="Labels of keys that had none.")
    corrected: int = Field(default=0, description="Labels that differ from the known one.")
    unchanged: int = Field(default=0, description="Labels that repeat the known one.")
    older: int = Field(default=0, description="Labels from before the known one; kept on record.")
    deleted: int = Field(default=0, description="Labels of keys whose deletion was requested; left out.")

    def __add__(self, other: "RecordedLabels") -> "RecordedLabels":
        return RecordedLabels(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})


def record_labels(
    table: Table, rows: pd.DataFrame, deleted: DeletedKeys | None = None, index: LabelIndex | None = None
) -> RecordedLabels:
    """Add labels to the table, and skip those that it has.

    If two write at once, the second compares its labels again with those of the first, so that a key's labels of the
    same time have different revisions.

    Args:
        table: The model's labels.
        rows: Rows from `label_rows`.
        deleted: Keys whose labels are left out, because their deletion was requested.
        index: The table's files that this process knows from earlier calls.

    Returns:
        Counts of the labels.

    Raises:
        ConflictError: Other writers were faster each time.
    """
    return record_requests(table, [rows], deleted, index)[0]


def record_requests(
    table: Table,
    requests: Sequence[pd.DataFrame],
    deleted: DeletedKeys | None = None,
    index: LabelIndex | None = None,
    *,
    writer: tuple[str, int] | None = None,
    again: bool = False,
) -> list[RecordedLabels]:
    """Add the labels of several requests in one commit, as `record_labels` adds those of one.

    Args:
        table: The model's labels.
        requests: Rows of each request, in the order of their arrival.
        deleted: As for `record_labels`.
        index: As for `record_labels`.
        writer: Name of the writer and number of its append. The commit is made even if nothing is new, so that the
            number is known.
        again: Whether the table may have some of these labels from this very writer; only the others are added.

    Returns:
        Counts of each request's labels; where requests have keys in common, each counts as if the others of its key
        had come with it.

    Raises:
        AlreadyWrittenError: The writer has made an append of this number.
        ConflictError: Other writers were faster each time.
        DataError: The table's labels are of another type.
    """
    index = index or LabelIndex()
    for pause in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6):
        with contextlib.suppress(ConflictError):
            return _record(table, requests, deleted, index, writer, again=again)
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
    return _record(table, requests, deleted, index, writer, again=again)


def count_requests(
    table: Table,
    waiting: pd.DataFrame | None,
    requests: Sequence[pd.DataFrame],
    deleted: DeletedKeys | None = None,
    index: LabelIndex | None = None,
) -> list[RecordedLabels]:
    """Return what recording some requests would count, without recording them.

    Args:
        table: The model's labels.
        waiting: Labels of the same keys that are on their way to the table, in order.
        requests: Rows of each request; no two requests have a key in common.
        deleted: As for `record_labels`.
        index: As for `record_labels`.

    Raises:
        DataError: The table's labels are of another type.
    """
    rows, left_out = _wanted(requests, deleted)
    known = _rows_of(table, table.version() if table.exists() else -1, rows, index or LabelIndex())
    if waiting is not None:
        later = waiting.loc[waiting[KEY].isin(rows[KEY]), _COLUMNS]
        known = pd.concat([known, later.assign(**{REVISION: _AFTER_ALL + np.arange(len(later))})], ignore_index=True)
    return _counts(_compared(known, rows), len(requests), left_out)


def _record(
    table: Table,
    requests: Sequence[pd.DataFrame],
    deleted: DeletedKeys | None,
    index: LabelIndex,
    writer: tuple[str, int] | None,
    *,
    again: bool,
) -> list[RecordedLabels]:
    rows, left_out = _wanted(requests, deleted)
    if rows.empty and writer is None:
        return _counts(None, len(requests), left_out)
    version = table.version() if table.exists() else -1
    known = _rows_of(table, version, rows, index)
    if again:
        rows = rows[_not_yet_there(known, rows)]
    both = _compared(known, rows)
    kept = both.loc[both["_kept"], _COLUMNS]
    if writer is not None:
        table.append(kept.assign(**{DAY: kept[LABEL_TIME].dt.date}), writer[0], after=version, number=writer[1])
    elif len(kept):
        content = hashlib.sha256(pd.util.hash_pandas_object(kept, index=False).to_numpy().tobytes()).hexdigest()
        transaction = f"labels-{content[:32]}-{version}"
        table.append(kept.assign(**{DAY: kept[LABEL_TIME].dt.date}), transaction, after=version)
    return _counts(both, len(requests), left_out)


def _wanted(requests: Sequence[pd.DataFrame], deleted: DeletedKeys | None) -> tuple[pd.DataFrame, list[int]]:
    """Return the rows of all requests without deleted keys, and the number of those for each request."""
    numbered = [
        one.drop_duplicates([KEY, LABEL_TIME], keep="last").assign(**{_REQUEST: number})
        for number, one in enumerate(requests)
    ]
    rows = pd.concat(numbered, ignore_index=True)
    gone = np.zeros(len(rows), dtype=np.bool_) if deleted is None else deleted.among_keys(rows[KEY].to_numpy())
    return rows[~gone], np.bincount(rows.loc[gone, _REQUEST], minlength=len(requests)).tolist()


def _compared(known: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return known and new rows in their order, the kind of each new one, whether it is kept, and its revision."""
    both = pd.concat([known.assign(_new=False), rows[[*_COLUMNS, _REQUEST]].assign(_new=True)], ignore_index=True)
    # If two labels have the same time, the later one is a correction and gets the next revision.
    both = both.sort_values([KEY, LABEL_TIME, "_new", REVISION], kind="stable", ignore_index=True)
    before = both.groupby(KEY)[LABEL].shift()
    repeated = both["_new"] & (before == both[LABEL])
    had = both[KEY].isin(known[KEY])
    newest = known.groupby(KEY)[LABEL_TIME].max().reindex(both[KEY])
    older = both["_new"] & ~repeated & had & (both[LABEL_TIME] < pd.Series(newest.array))
    added = both["_new"] & ~had & ~both.duplicated(KEY)
    both["_kind"] = np.select([~both["_new"], added, repeated, older], ["", "added", "unchanged", "older"], "corrected")
    # Keep a repeated label with another time, because a label from between the two may still arrive.
    both["_kept"] = both["_new"] & ~(repeated & both.duplicated([KEY, LABEL_TIME]))
    there = both[both["_kept"] | ~both["_new"]]
    both[REVISION] = there.groupby([KEY, LABEL_TIME]).cumcount().reindex(both.index, fill_value=0)
    return both


def _counts(both: pd.DataFrame | None, requests: int, left_out: Sequence[int]) -> list[RecordedLabels]:
    counted = [dict[str, int]() for _ in range(requests)]
    if both is not None:
        for number, kind in both.loc[both["_new"], [_REQUEST, "_kind"]].itertuples(index=False):
            counts = counted[int(number)]
            counts[kind] = counts.get(kind, 0) + 1
    return [
        RecordedLabels(read=sum(counts.values()) + gone, deleted=gone, **counts)
        for counts, gone in zip(counted, left_out, strict=True)
    ]


def _not_yet_there(known: pd.DataFrame, rows: pd.DataFrame) -> list[bool]:
    """Return which rows the table does not have, where it may have the first ones of them.

    The labels of a key and a time are an ordered list. The longest beginning of the new list whose labels follow each
    other in the known one, perhaps with others between, is there.
    """
    lists: dict[tuple[int, pd.Timestamp], list[object]] = {}
    for key, at, label in known.sort_values(REVISION)[[KEY, LABEL_TIME, LABEL]].itertuples(index=False):
        lists.setdefault((key, at), []).append(label)
    last: dict[tuple[int, pd.Timestamp], object] = {}
    missing = []
    for key, at, label in rows[[KEY, LABEL_TIME, LABEL]].itertuples(index=False):
        there = lists.get((key, at), [])
        if last.get((key, at)) == label:
            missing.append(False)  # the table has no repeated labels
        elif label in there:
            del there[: there.index(label) + 1]
            missing.append(False)
        else:
            there.clear()
            missing.append(True)
        last[key, at] = label
    return missing


def _rows_of(table: Table, version: int, rows: pd.DataFrame, index: LabelIndex) -> pd.DataFrame:
    """Return the table's rows with the same keys."""
    if version < 0:
        return rows[_COLUMNS].head(0)
    known = index.find(table, version, rows[KEY].to_numpy(), _COLUMNS)
    if len(rows) and pd.api.types.is_float_dtype(known[LABEL]) != pd.api.types.is_float_dtype(rows[LABEL]):
        kinds = ["numbers" if pd.api.types.is_float_dtype(one[LABEL]) else "classes" for one in (known, rows)]
        raise DataError(
            f"the labels of this model are {kinds[0]}, and the new ones {kinds[1]}; give a model for another task "
            "another name"
        )
    return known if INCLUSION in known else known.assign(**{INCLUSION: np.nan})  # of a table without manual labels
