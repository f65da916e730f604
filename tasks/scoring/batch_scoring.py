"""Score a window of rows into the prediction log."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from everfit.blocks.errors import DataError
from everfit.tasks.core.records import Window
from everfit.tasks.core.spread import Spread, in_turn
from everfit.tasks.predictions import prediction_ids, prediction_log
from everfit.tasks.scoring.certainty import CertaintyRules
from everfit.tasks.scoring.outliers import detector_columns
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.scoring.seen_ids import SeenIds
from everfit.tasks.scoring.set_aside import RowsSetAside
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.tables import Table
from everfit.tasks.storage.values import FAULTS, faulty

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_AT_ONCE = 100_000
"""Rows that are scored and written together."""


@dataclass(frozen=True)
class ScoringBatch:
    """Rows that are scored together, without an HTTP request.

    Attributes:
        window: Span of their event time; its end is the time of prediction.
        arm: Arm of the model.
        client: Client that requested the scores.
        once: Whether to skip rows that any version has scored in this arm for this client, not only this version.
        certainty: Rules for saying how sure the answers are; by default nothing is said.
    """

    window: Window
    arm: prediction_log.Arm = "champion"
    client: str = prediction_log.BATCH
    once: bool = False
    certainty: CertaintyRules = field(default_factory=CertaintyRules)

    @property
    def at_ms(self) -> int:
        """Return the time of prediction, in milliseconds since 1970."""
        return int(self.window.until.timestamp() * 1000)


def score_window(
    scorer: Scorer,
    chunks: "Iterable[pd.DataFrame]",
    table: Table,
    batch: ScoringBatch,
    *,
    spread: Spread = in_turn,
    confirm: Callable[[], object] = lambda: None,
) -> tuple[int, RowsSetAside]:
    """Score a window into the prediction log chunk by chunk, and skip rows that the log has already.

    A row with a value that the model can't take is set aside, and the others are scored.

    Args:
        scorer: The model.
        chunks: Rows of the window in any order, in chunks that fit in memory.
        table: The prediction log.
        batch: Window, arm and client of the rows.
        spread: Where chunks are scored. They are read, compared with the log, and written here, in their order.
        confirm: Called before each chunk is written; raises if this process must not write any more.

    Returns:
        Number of added predictions, and the rows that were set aside.

    Raises:
        DataError: The rows lack a column that the model needs.
    """
    seen = _seen_ids(table, scorer, batch)
    key = [column.name for column in scorer.inputs.key]
    added, aside = 0, RowsSetAside()

    def new_rows() -> "Iterator[tuple[pd.DataFrame, list[str]]]":
        nonlocal aside
        for piece in _pieces(chunks):
            _require_inputs(scorer, piece)
            brought = scorer.inputs.bring(piece)
            aside = aside.with_rows(brought, key)
            rows = scorer.inputs.conform(brought[~faulty(brought)].drop(columns=FAULTS).reset_index(drop=True))
            # The same rows always get the same ids, so that they can be recognised.
            ids = np.array(prediction_ids.repeatable_ids(batch.at_ms, row_keys(rows, key), scorer.version))
            if len(rows) and (fresh := seen.take(ids.tolist())).any():
                yield rows[fresh].reset_index(drop=True), ids[fresh].tolist()

    for ids, logged in spread(_score_rows, (scorer, batch), new_rows()):
        confirm()
        # Named by all ids: two sets of rows may begin and end with the same ones.
        prediction_log.append(table, logged, f"score-{hashlib.sha256(''.join(ids).encode()).hexdigest()[:32]}")
        added += len(ids)
    return added, aside


def _pieces(chunks: "Iterable[pd.DataFrame]") -> "Iterator[pd.DataFrame]":
    """Cut chunks into pieces whose scores, ids and columns of Python's own values are small too."""
    for chunk in chunks:
        for start in range(0, len(chunk), _AT_ONCE):
            yield chunk[start : start + _AT_ONCE].reset_index(drop=True)


def _require_inputs(scorer: Scorer, rows: "pd.DataFrame") -> None:
    needed = (*scorer.inputs.features, *scorer.inputs.key)
    missing = [column.name for column in needed if column.name not in rows]
    if missing:
        raise DataError(
            f"the rows to score have no column {', '.join(map(repr, missing))}, which version {scorer.version} needs; "
            f"add it to the source or the file. If a function of yours made it for training, score by a flow of your "
            f"own with the same function: everfit.tasks.score(context, transform=FUNCTION)"
        )


def _score_rows(
    model: tuple[Scorer, ScoringBatch], rows_and_ids: "tuple[pd.DataFrame, list[str]]"
) -> "tuple[list[str], pa.Table]":
    """Score rows that conform to the model's inputs; return their ids, and them as rows of the prediction log."""
    import pandas as pd

    (scorer, batch), (rows, ids) = model, rows_and_ids
    inputs, detector, count = scorer.inputs, scorer.outliers, len(rows)
    scores = scorer.score(rows[[column.name for column in inputs.features]])
    kinds = prediction_log.column_kinds(inputs)
    features = {
        name: rows[name].astype("str") if kind == "string" and rows[name].dtype == object else rows[name]
        for name, kind in kinds.items()
        if name in rows
    }
    columns: dict[str, Any] = {
        **features,
        **scores.columns(),
        **batch.certainty.of(scores, scorer.version).columns(),
        prediction_log.PREDICTION_ID: ids,
        prediction_log.PREDICTED_AT: pd.Series([pd.Timestamp(batch.window.until)] * count).dt.as_unit("us"),
        prediction_log.MODEL_VERSION: [scorer.version] * count,
        prediction_log.ARM: [batch.arm] * count,
        prediction_log.LATENCY: [None] * count,
        prediction_log.OUTLIER: [None] * count
        if detector is None
        else detector.score(detector_columns(rows, detector), count),
        prediction_log.CLIENT: [batch.client] * count,
    }
    key = [column.name for column in inputs.key]
    return ids, prediction_log.to_rows(columns, kinds, key, inputs.event_time, identity=inputs.identity)


def _seen_ids(table: Table, scorer: Scorer, batch: ScoringBatch) -> SeenIds:
    """Return the ids to skip: of rows that were scored for the same client and arm, and ids that are in use."""
    seen = SeenIds()
    if not table.exists():
        return seen
    event_time = scorer.inputs.event_time
    columns = [prediction_log.PREDICTION_ID, prediction_log.MODEL_VERSION, prediction_log.ARM, prediction_log.CLIENT]
    front = prediction_ids.repeatable_ids(batch.at_ms, np.zeros(1, dtype=np.int64), scorer.version)[0][:18]
    for frame in table.batches(batch.window, event_time, [*columns, event_time]):
        same = (frame[prediction_log.CLIENT] == batch.client) & (frame[prediction_log.ARM] == batch.arm)
        if not batch.once:
            same &= frame[prediction_log.MODEL_VERSION] == scorer.version
        same |= frame[prediction_log.PREDICTION_ID].str.startswith(front)
        seen.take(frame.loc[same, prediction_log.PREDICTION_ID].tolist())
    return seen
