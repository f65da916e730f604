"""Add labels that people gave to the training data.

The source doesn't have them, so they are filled into its rows when these are read. Where a person has replaced a wrong
label, it replaces the source's. Rows that the source doesn't return again come from the dataset or, if it never
returned them, from the prediction log.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.predictions import labels, prediction_log
from everfit.tasks.sources import Chunk
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.storage.tables import KEY, Table
from everfit.tasks.storage.values import bring_known
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow.dataset as pds


def with_manual_labels(
    chunks: Iterable[Chunk], spec: ModelSpec, workspace: Workspace, until: datetime
) -> Iterator[Chunk]:
    """Yield the source's rows with manual labels where the source has none.

    Args:
        chunks: Rows of the source.
        spec: Spec of the model.
        workspace: Workspace of labels, dataset and log.
        until: Labels that became known later are ignored.
    """
    table = workspace.table(spec.name, "labels")
    known = labels.known_at(table, until, origin=labels.QUEUE_ORIGIN) if spec.columns.key else pd.DataFrame()
    manual = known.set_index(KEY) if len(known) else known
    seen: set[int] = set()
    kinds = read_kinds(workspace, spec.name)
    kinds = {name: kinds[name] for name in spec.columns.key if name in kinds}
    for chunk in chunks:
        if manual.empty:
            yield chunk
            continue
        keys = row_keys(bring_known(chunk.frame, kinds), spec.columns.key)
        seen.update(keys.tolist())
        yield Chunk(chunk.origin, _filled(chunk.frame, keys, manual, spec))
    rest = manual[~manual.index.isin(seen)] if len(manual) else manual
    if len(rest):
        yield from _unread(rest, spec, workspace, until)


def _unread(manual: pd.DataFrame, spec: ModelSpec, workspace: Workspace, until: datetime) -> Iterator[Chunk]:
    """Yield rows with a manual label that the source didn't return now and that the dataset has no label of."""
    dataset = workspace.table(spec.name, "dataset")
    there: set[int] = set()
    if dataset.exists():
        for frame in dataset.batches(columns=[KEY], condition=_among(manual.index)):
            there.update(frame[KEY].tolist())
        open_rows = _among(manual.index) & _is_null(spec.columns.target)
        for frame in dataset.batches(condition=open_rows | _among(manual.index[_replaced(manual)])):
            own = frame[[name for name in frame if not str(name).startswith("_")]].reset_index(drop=True)
            yield Chunk("manual labels", _filled(own, frame[KEY].to_numpy(), manual, spec))
    missing = manual[~manual.index.isin(there)]
    log = workspace.table(spec.name, "predictions")
    if len(missing) and log.exists():
        yield from _from_log(log, missing, spec, until)


def _from_log(log: Table, manual: pd.DataFrame, spec: ModelSpec, until: datetime) -> Iterator[Chunk]:
    event_time = spec.columns.event_time
    window = None if event_time is None else Window(until=until)
    for frame in log.batches(window, event_time, condition=_among(manual.index)):
        rows = frame[frame[prediction_log.ARM].isin(prediction_log.ANSWERED)].drop_duplicates(KEY, keep="last")
        own = rows[[name for name in rows if not str(name).startswith("_")]].reset_index(drop=True)
        if len(own):
            yield Chunk("manual labels", _filled(own, rows[KEY].to_numpy(), manual, spec))


def _filled(frame: pd.DataFrame, keys: "np.ndarray[Any, Any]", manual: pd.DataFrame, spec: ModelSpec) -> pd.DataFrame:
    target, label_time = spec.columns.target, spec.columns.label_time
    own = frame[target] if target in frame else pd.Series([None] * len(frame), dtype="object")
    open_rows = np.isin(keys, manual.index) & own.isna().to_numpy() | np.isin(keys, manual.index[_replaced(manual)])
    if not open_rows.any():
        return frame
    changed = own.astype("object").copy()
    changed[open_rows] = _like(manual.loc[keys[open_rows], labels.LABEL], own.dropna())
    frame = frame.assign(**{target: changed.infer_objects()})
    if label_time is not None:
        times = manual.loc[keys[open_rows], labels.LABEL_TIME]
        at = frame[label_time] if label_time in frame else pd.Series(pd.NaT, index=frame.index)
        at = pd.to_datetime(at, utc=True).dt.as_unit("us").copy()
        at[open_rows] = at[open_rows].where(at[open_rows].notna(), times.array)
        frame = frame.assign(**{label_time: at})
    return frame


def _replaced(manual: pd.DataFrame) -> "np.ndarray[Any, Any]":
    """Return which labels replace a wrong one of the source; shape (labels,)."""
    return manual[labels.ORIGIN].str.startswith(labels.REPLACED_ORIGIN).to_numpy(dtype=np.bool_)


def _like(given: "pd.Series[Any]", others: "pd.Series[Any]") -> list[Any]:
    """Convert labels from the labels table to the type of the source's own labels."""
    kind = pd.api.types.infer_dtype(others, skipna=True) if len(others) else "empty"
    if kind == "boolean":
        return [str(one) in {"1", "True"} for one in given]
    numbers = pd.to_numeric(given, errors="coerce")
    if kind == "string" or numbers.isna().any():
        return [str(one) for one in given]
    return [int(one) if kind == "integer" else float(one) for one in numbers]


def _among(keys: pd.Index) -> "pds.Expression":
    import pyarrow.dataset as pds

    return pds.field(KEY).isin(keys.tolist())


def _is_null(column: str) -> "pds.Expression":
    import pyarrow.dataset as pds

    return pds.field(column).is_null(nan_is_null=True)
