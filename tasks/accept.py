"""Accept: put good rows into the dataset and bad ones into quarantine, once, and name what the dataset now is."""

import hashlib

import numpy as np
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.ingest import CHANGED, Batch, read_batch
from everfit.tasks.records import Snapshot, Window
from everfit.tasks.suite import infer_suite, keep_suite
from everfit.tasks.tables import CONTENT
from everfit.tasks.validate import Validation, quarantine_reasons
from everfit.tasks.workspace import Workspace

REASONS, BATCH_REASONS = "_reasons", "_batch_reasons"
"""Columns of the quarantine: what the row itself failed, and what its batch failed."""


def accept(spec: ModelSpec, batch: Batch, validation: Validation, workspace: Workspace) -> None:
    """Append the batch's good rows to the dataset and its bad ones to the quarantine.

    A refused batch goes to quarantine whole. Each append is a transaction named by the turn, so that a turn
    that is run again adds nothing twice.
    """
    frame = read_batch(batch, workspace)
    if frame.empty:
        return
    reasons = quarantine_reasons(frame, validation)
    bad = reasons != "" if validation.passed else pd.Series(True, index=reasons.index)
    changed = frame.pop(CHANGED)
    quarantined = frame[bad].copy()
    quarantined[REASONS] = reasons[bad]
    quarantined[BATCH_REASONS] = "; ".join(validation.reasons)
    if len(quarantined):
        workspace.table(spec.name, "quarantine").append(quarantined, f"{batch.turn_id}/quarantine")
    if not validation.passed:
        return
    if validation.suite_inferred:
        keep_suite(spec, infer_suite(frame, spec), workspace)
    dataset = workspace.table(spec.name, "dataset")
    dataset.append(frame[~bad & ~changed], f"{batch.turn_id}/new")
    dataset.supersede(frame[~bad & changed], f"{batch.turn_id}/changed")


def take_snapshot(spec: ModelSpec, window: Window, workspace: Workspace, version: int | None = None) -> Snapshot:
    """Name the rows of a window, as the dataset has them now (or had at a version).

    Raises:
        DataError: there is not one row in the window.
    """
    dataset = workspace.table(spec.name, "dataset")
    version = dataset.version() if version is None else version
    contents = dataset.read(window, spec.columns.event_time, [CONTENT], version)[CONTENT].to_numpy(dtype=np.int64)
    if len(contents) == 0:
        raise DataError(f"{spec.name}: the dataset has no row in {window}; check training.window and until")
    return Snapshot(
        uri=dataset.uri,
        version=version,
        window=window,
        rows=len(contents),
        content_digest=hashlib.sha256(np.sort(contents).tobytes()).hexdigest(),
    )
