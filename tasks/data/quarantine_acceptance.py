"""Check quarantined rows again, and commit the good ones to the dataset in a turn of their own."""

import hashlib
from datetime import datetime

import numpy as np
import orjson
import pandas as pd

from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Record, Window
from everfit.tasks.data.commit import commit_batch
from everfit.tasks.data.quarantine import BATCH_REASONS, REASONS, ROW, SOURCE, open_rows, resolve_rows
from everfit.tasks.data.staged_batch import Batch, stage
from everfit.tasks.data.staging import Staging
from everfit.tasks.data.validate import Validation, validate
from everfit.tasks.sources import Chunk
from everfit.tasks.sources.times import dated
from everfit.tasks.storage.tables import CONTENT, KEY, TURN
from everfit.tasks.storage.values import FAULTS, lost_values
from everfit.tasks.storage.workspace import Workspace


class AcceptedRows(Record):
    """Result of checking quarantined rows again."""

    turn_id: str
    rows: int
    accepted: int
    still_bad: int
    reasons: tuple[str, ...] = ()


def accept_rows(
    spec: ModelSpec, workspace: Workspace, until: datetime, reason: str = "", turn_id: str | None = None
) -> AcceptedRows:
    """Check open rows with the current suite, and commit the good ones to the dataset.

    Rows that are still bad stay in quarantine with their current reasons. A row with a value that couldn't be read
    stays bad, because the value is lost; it comes in when the source has a better one. Running it again after a crash
    has the same result.

    Args:
        spec: Spec of the model.
        workspace: Workspace of the quarantine.
        until: Time of the request.
        reason: Filter, as in `open_rows`.
        turn_id: Filter, as in `open_rows`.

    Returns:
        Number of rows that were accepted and that are still bad.
    """
    quarantine, dataset = (workspace.table(spec.name, name) for name in ("quarantine", "dataset"))
    rows = open_rows(quarantine, reason, turn_id)
    if rows.empty:
        return AcceptedRows(turn_id="", rows=0, accepted=0, still_bad=0)
    digest = hashlib.sha256(np.sort(rows[CONTENT].to_numpy(dtype=np.int64)).tobytes()).hexdigest()
    own = f"{spec.name}-release-{until:%Y%m%dT%H%M%S}-{digest[:8]}"
    staging = Staging(workspace, spec.name, own)
    version = dataset.version() if dataset.exists() else -1
    chunks = (_chunk(str(source), part, spec) for source, part in rows.groupby(SOURCE))
    batch, _ = stage(spec, Window(until=until), staging, version, chunks, aside=False)
    workspace.write(staging.path("files.json"), b"{}")
    validation = validate(spec, batch, workspace)
    commit_batch(spec, batch, validation, workspace)
    keys = rows[KEY].to_numpy(dtype=np.int64)
    resolve_rows(quarantine, keys, ["released"] * len(keys), own, f"{own}/released", sorted(rows[TURN].unique()))
    return _result(own, batch, validation)


def refused_rows(spec: ModelSpec, workspace: Workspace, most: int) -> pd.DataFrame:
    """Return the open rows of the quarantine that are good by themselves, and were refused with their batch.

    Args:
        spec: Spec of the model.
        workspace: Workspace of the quarantine.
        most: The largest number of rows; of more every k-th is returned.
    """
    rows = open_rows(workspace.table(spec.name, "quarantine"))
    if rows.empty:
        return rows
    rows = rows[(rows[REASONS] == "") & (rows[BATCH_REASONS] != "")]
    chosen = rows.iloc[:: max(1, -(-len(rows) // most))]
    frames = [_chunk(str(source), part, spec).frame for source, part in chosen.groupby(SOURCE)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _chunk(source: str, rows: pd.DataFrame, spec: ModelSpec) -> Chunk:
    frame = pd.DataFrame.from_records([orjson.loads(text) for text in rows[ROW]])
    known = frame.pop(FAULTS).fillna("") if FAULTS in frame.columns else pd.Series("", index=frame.index)
    # Rows of earlier versions have no `_faults`; their reasons tell that a value is lost.
    known = known.where(known != "", pd.Series([lost_values(text) for text in rows[REASONS]], dtype="str"))
    frame = dated(frame, spec.columns, None, source)
    if (known != "").any():
        found = frame[FAULTS] if FAULTS in frame.columns else pd.Series("", index=frame.index)
        frame[FAULTS] = known.where(known != "", found).astype("str")
    return Chunk(source, frame)


def _result(turn_id: str, batch: Batch, validation: Validation) -> AcceptedRows:
    return AcceptedRows(
        turn_id=turn_id,
        rows=batch.read,
        accepted=validation.accepted + batch.duplicates,
        still_bad=validation.quarantined,
        reasons=validation.reasons,
    )
