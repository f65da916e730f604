"""Mending: rows of the quarantine that are good by now go into the dataset, as a turn of their own would take them."""

import hashlib
from datetime import datetime

import numpy as np
import orjson
import pandas as pd

from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Record, Window
from everfit.tasks.data.commit import accept
from everfit.tasks.data.ingest import Batch, stage
from everfit.tasks.data.quarantine import ROW, SOURCE, open_rows, resolve_rows
from everfit.tasks.data.staging import Staging
from everfit.tasks.data.validate import Validation, validate
from everfit.tasks.sources import Chunk
from everfit.tasks.sources.chunks import dated
from everfit.tasks.storage.tables import CONTENT, KEY, TURN
from everfit.tasks.storage.workspace import Workspace


class AcceptedRows(Record):
    """The outcome for rows that were to leave the quarantine."""

    turn_id: str
    rows: int
    released: int
    still_bad: int
    reasons: tuple[str, ...] = ()


def accept_rows(
    spec: ModelSpec, workspace: Workspace, until: datetime, reason: str = "", turn_id: str | None = None
) -> AcceptedRows:
    """Check open rows by the present suite, and take the good ones into the dataset.

    Rows that are still bad are in quarantine with what they fail now. Run again after a crash, it ends the same.

    Args:
        spec: The model's spec.
        workspace: Where the quarantine is.
        until: When it is requested.
        reason: As `open_rows` takes it.
        turn_id: As `open_rows` takes it.
    """
    quarantine, dataset = (workspace.table(spec.name, name) for name in ("quarantine", "dataset"))
    rows = open_rows(quarantine, reason, turn_id)
    if rows.empty:
        return AcceptedRows(turn_id="", rows=0, released=0, still_bad=0)
    digest = hashlib.sha256(np.sort(rows[CONTENT].to_numpy(dtype=np.int64)).tobytes()).hexdigest()
    own = f"{spec.name}-release-{until:%Y%m%dT%H%M%S}-{digest[:8]}"
    staging = Staging(workspace, spec.name, own)
    version = dataset.version() if dataset.exists() else -1
    pieces = (_piece(str(source), part, spec) for source, part in rows.groupby(SOURCE))
    batch = stage(spec, Window(until=until), staging, version, pieces, aside=False)
    workspace.write(staging.path("files.json"), b"{}")
    validation = validate(spec, batch, workspace)
    accept(spec, batch, validation, workspace)
    keys = rows[KEY].to_numpy(dtype=np.int64)
    resolve_rows(quarantine, keys, ["released"] * len(keys), own, f"{own}/released", sorted(rows[TURN].unique()))
    return _told(own, batch, validation)


def _piece(source: str, rows: pd.DataFrame, spec: ModelSpec) -> Chunk:
    frame = pd.DataFrame.from_records([orjson.loads(text) for text in rows[ROW]])
    return Chunk(source, dated(frame, spec.columns, None, source))


def _told(turn_id: str, batch: Batch, validation: Validation) -> AcceptedRows:
    return AcceptedRows(
        turn_id=turn_id,
        rows=batch.read,
        released=validation.accepted + batch.duplicates,
        still_bad=validation.quarantined,
        reasons=validation.reasons,
    )
