"""Move rows of the dataset that no model can learn from into quarantine."""

import hashlib
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from everfit.blocks.spec import ModelSpec
from everfit.tasks.data.quarantine import SOURCE, to_quarantine
from everfit.tasks.data.staging import OWN
from everfit.tasks.storage.row_hashes import row_hashes
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.storage.tables import CONTENT, DAY, KEY, TURN, Table
from everfit.tasks.storage.values import FAULTS, LARGEST, faulty, normalise
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

_KEYS_AT_ONCE = 1_000


def recheck_dataset(spec: ModelSpec, workspace: Workspace, at: datetime) -> int:
    """Move rows with an infinite or too large number from the dataset into quarantine, each with its reason.

    Earlier versions of everfit took such rows in. Earlier versions of the dataset keep them. If the move is
    interrupted, run it again: it moves the rest.

    Args:
        spec: Spec of the model.
        workspace: Workspace of the tables.
        at: Time of the request.

    Returns:
        Number of rows that were moved.

    Raises:
        ConflictError: If another process writes to the tables at the same time.
    """
    dataset, quarantine = workspace.table(spec.name, "dataset"), workspace.table(spec.name, "quarantine")
    kinds = read_kinds(workspace, spec.name)
    moved = 0
    for rows in list(_rows_too_large(dataset, kinds)) if dataset.exists() else ():
        brought = normalise(rows[list(kinds)], kinds)
        bad = faulty(brought)
        faults = brought.loc[bad, FAULTS]
        values, reasons = brought[bad].drop(columns=FAULTS), faults.str.rstrip("; ").tolist()
        keys = rows.loc[bad, KEY].to_numpy(dtype=np.int64)
        digest = hashlib.sha256(np.sort(keys).tobytes()).hexdigest()[:16]
        # The hash that the source's same row has today, so that it counts as known.
        content = row_hashes(values, list(values.columns))
        own: dict[str, Any] = {
            KEY: keys,
            CONTENT: content,
            DAY: rows.loc[bad, DAY],
            TURN: f"recheck-{at:%Y%m%dT%H%M%S}",
        }
        frame = values.assign(**own)
        frame[SOURCE], frame[FAULTS] = "dataset", faults
        quarantine.append(_set_aside(frame, reasons), f"recheck/{digest}")
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            some = ", ".join(map(str, keys[start : start + _KEYS_AT_ONCE].tolist()))
            dataset.remove(f"{KEY} IN ({some})")
        moved += len(keys)
    return moved


def _rows_too_large(dataset: Table, kinds: Collection[str]) -> Iterator[pd.DataFrame]:
    import functools
    import operator

    import pyarrow.compute as pc
    import pyarrow.dataset as pds

    doubles = [name for name, stored in dataset.columns().items() if stored == "double" and name in kinds]
    if doubles:
        too_large = [pc.abs(pds.field(name)) > LARGEST for name in doubles]
        yield from dataset.batches(condition=functools.reduce(operator.or_, too_large))


def _set_aside(frame: pd.DataFrame, reasons: list[str]) -> "pa.Table":
    import pyarrow as pa

    return to_quarantine(pa.Table.from_pandas(frame, preserve_index=False), reasons, "", OWN)
