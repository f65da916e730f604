"""Ingest: take what is new in a window of the source, exactly once.

What is taken lies in a staging file of the turn until validation has told good rows from bad; only then does
`accept` append it. So nothing unchecked is ever in the dataset, and a turn that died can be run again.
"""

import io
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError, SourceError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.records import Record, Window
from everfit.tasks.sources import read_source
from everfit.tasks.tables import CONTENT, DAY, KEY, TURN, row_hashes, row_keys
from everfit.tasks.workspace import Workspace

CHANGED = "_changed"
"""Marks a row whose key is in the dataset already, with other content: a label that came, a correction."""


class Batch(Record):
    """Rows that a turn has staged: new ones, and ones whose content changed.

    Always `read == new + changed + duplicates`.
    """

    turn_id: str
    window: Window
    path: str
    read: int
    new: int
    changed: int
    duplicates: int


def ingest(spec: ModelSpec, until: datetime, turn_id: str, workspace: Workspace) -> Batch:
    """Stage the rows of the source that the dataset doesn't have yet.

    Raises:
        SourceError: the source can't be read or lacks a column.
        DataError: there is not one row before `until`.
    """
    record, path = (workspace.turn_file(spec.name, turn_id, name) for name in ("batch.json", "batch.parquet"))
    if workspace.exists(record):  # a turn that is run again goes on with what it took then
        return Batch.model_validate_json(workspace.read(record))
    window = _ingest_window(spec, until, workspace)
    frames = [] if window is None else list(read_source(spec.source, spec.columns, window))
    taken = workspace.table(spec.name, "dataset")
    if not frames and not taken.exists():
        raise DataError(
            f"{spec.name}: the source has no row before {until:%Y-%m-%d %H:%M}; check source.path and until"
        )
    if not frames or window is None:
        batch = Batch(turn_id=turn_id, window=Window(until=until), path=path, read=0, new=0, changed=0, duplicates=0)
    else:
        frame = pd.concat(frames, ignore_index=True)
        fresh = _fresh_rows(_with_identity(_normalised(frame, spec, workspace), spec, turn_id), spec, window, workspace)
        workspace.write(path, _parquet(fresh))
        changed = int(fresh[CHANGED].sum())
        batch = Batch(
            turn_id=turn_id,
            window=window,
            path=path,
            read=len(frame),
            new=len(fresh) - changed,
            changed=changed,
            duplicates=len(frame) - len(fresh),
        )
    workspace.write(record, batch.canonical_json().encode())
    return batch


def read_batch(batch: Batch, workspace: Workspace) -> pd.DataFrame:
    """The staged rows; an empty frame when nothing was new."""
    return pd.read_parquet(io.BytesIO(workspace.read(batch.path))) if batch.new + batch.changed else pd.DataFrame()


def _ingest_window(spec: ModelSpec, until: datetime, workspace: Workspace) -> Window | None:
    """From a look-back before the newest row taken; None when all before `until` was taken long ago."""
    dataset = workspace.table(spec.name, "dataset")
    if not dataset.exists():
        return Window(until=until)
    newest = max(frame[spec.columns.event_time].max() for frame in dataset.batches(columns=[spec.columns.event_time]))
    since = newest - spec.source.lookback
    return Window(since=since, until=until) if since < until else None


def _normalised(frame: pd.DataFrame, spec: ModelSpec, workspace: Workspace) -> pd.DataFrame:
    """The same types in every batch: UTC times, 64-bit numbers, plain text; those of the dataset, once there is one."""
    frame = frame.drop(columns=[name for name in frame.columns if name.startswith("_")])
    dataset = workspace.table(spec.name, "dataset")
    known = dataset.columns() if dataset.exists() else {}
    for name in frame.columns:
        frame[name] = _as_type(frame[name], known.get(name, ""), exact=name in spec.columns.key)
    return frame


def _as_type(column: pd.Series, arrow_type: str, *, exact: bool) -> pd.Series:
    try:
        if isinstance(column.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_dtype(column.dtype):
            return pd.to_datetime(column, utc=True).dt.as_unit("us")
        if exact and pd.api.types.is_integer_dtype(column.dtype):
            return column.astype("int64")  # large identifiers don't fit a float
        if pd.api.types.is_numeric_dtype(column.dtype) or _is_nullable_bool(column):
            # Whole numbers and booleans turn to floats when a value is missing, which may well happen next month.
            return column.astype("float64")
        if arrow_type in {"double", "int64"}:
            return pd.to_numeric(column).astype("float64")
        return column.map(str, na_action="ignore").astype("str")
    except (ValueError, TypeError) as error:
        raise SourceError(
            f"column {column.name!r} was {arrow_type} and now has values that are not: {str(error).splitlines()[0]}; "
            f"mend the source, or add the column to columns.ignore"
        ) from error


def _is_nullable_bool(column: pd.Series) -> bool:
    return column.dtype == "object" and pd.api.types.infer_dtype(column, skipna=True) == "boolean"


def _with_identity(frame: pd.DataFrame, spec: ModelSpec, turn_id: str) -> pd.DataFrame:
    columns = list(frame.columns)
    return frame.assign(
        **{
            KEY: row_keys(frame, spec.columns.key),
            CONTENT: row_hashes(frame, columns),
            DAY: frame[spec.columns.event_time].dt.date,
            TURN: turn_id,
        }
    )


def _fresh_rows(frame: pd.DataFrame, spec: ModelSpec, window: Window, workspace: Workspace) -> pd.DataFrame:
    """Rows that are not in the dataset with this very content."""
    frame = frame.drop_duplicates([KEY, CONTENT])
    dataset = workspace.table(spec.name, "dataset")
    if not dataset.exists():
        return frame.assign(**{CHANGED: False})
    taken = dataset.read(window, spec.columns.event_time, [KEY, CONTENT, DAY])
    fresh = frame[~_isin(frame, taken, [KEY, CONTENT])]
    return fresh.assign(**{CHANGED: _isin(fresh, taken, [KEY, DAY])})


def _isin(frame: pd.DataFrame, other: pd.DataFrame, columns: list[str]) -> npt.NDArray[np.bool_]:
    return np.asarray(pd.MultiIndex.from_frame(frame[columns]).isin(pd.MultiIndex.from_frame(other[columns])))


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()
