"""Keep the prediction log: every served prediction with its inputs and the model version that made it.

Columns beside the features, the key columns and the event time, which keep their own names:

| column | content |
| --- | --- |
| `_prediction_id` | a UUID of version 7: it sorts by time |
| `_key` | hash of the key, as in the labels; without a key, of the event time and the features, or else of the id |
| `_predicted_at` | time of the prediction; for batch scoring, the end of the window |
| `_prediction` | the class as text, or the predicted number |
| `_score` | the probability of the second class of a binary model, or the predicted number |
| `_probabilities` | of a multiclass model: the probability of each class in the model's order |
| `_model_version` | version in the registry |
| `_arm` | `champion`, `challenger`, `shadow`, or `fallback`: the champion replaced a failed challenger |
| `_latency_ms` | time from the request's last byte to the log; null for batch scoring |
| `_outlier` | how unlike the training data the input is, from 0 to 1; null without a detector |
| `_client` | the client; `batch` for a run over the source, `file` for a scored file |
| `_joined` | of a model with joins: the version of each joined row, as its time and a hash of its content |
| `_bound` | with intervals: half the width of the interval, or one minus the least probability in the set |
| `_abstained` | whether the answer was too unsure by the spec; null without a rule |
| `_flag` | `probing` if the client was flagged for it; else null |
| `_day` | day of the event time, in UTC; the partition |
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from everfit.tasks.core.records import Window
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.predictions.log_columns import fitted, how_to_write
from everfit.tasks.predictions.prediction_ids import made_at_ms
from everfit.tasks.storage.panics import panics_as_errors
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.table_reads import text_field
from everfit.tasks.storage.tables import DAY, KEY, Table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from deltalake import DeltaTable

PREDICTION_ID, PREDICTED_AT, PREDICTION, SCORE = "_prediction_id", "_predicted_at", "_prediction", "_score"
PROBABILITIES, MODEL_VERSION, ARM, LATENCY = "_probabilities", "_model_version", "_arm", "_latency_ms"
OUTLIER, CLIENT, FLAG, JOINED = "_outlier", "_client", "_flag", "_joined"
BOUND, ABSTAINED = "_bound", "_abstained"

Arm = Literal["champion", "challenger", "shadow", "fallback"]
ANSWERED: tuple[Arm, ...] = ("champion", "challenger", "fallback")
"""Arms whose predictions were returned to clients."""

BATCH, FILE = "batch", "file"
"""Clients of predictions without an HTTP request: a run over the source, and a person's file."""
OWN_CLIENTS = frozenset({BATCH, FILE})
"""Those clients, whose share of the rows is not limited."""

_RECOVERY = "everfit-recovery"
"""Writer of all appends of rows that were looked up by their ids; only one of them can be committed at a time."""

_FILE = "__filename"
"""Column of Arrow's data sets: the file of a row."""

_STATISTICS = (PREDICTED_AT, KEY)
"""Columns by which a reader may leave files out before it opens them, beside the day."""

_EPOCH = np.datetime64(0, "ms")


def column_kinds(inputs: InputSchema) -> dict[str, str]:
    """Return the kind of each column of the log, for a model with these inputs."""
    own = {
        PREDICTION_ID: "string",
        PREDICTED_AT: "datetime",
        PREDICTION: "double" if inputs.task == "regression" else "string",
        SCORE: "double",
        PROBABILITIES: "list",
        MODEL_VERSION: "long",
        ARM: "string",
        LATENCY: "double",
        OUTLIER: "double",
        CLIENT: "string",
        FLAG: "string",
        JOINED: "string",
        BOUND: "double",
        ABSTAINED: "boolean",
    }
    given = {column.name: column.kind for column in (*inputs.features, *inputs.key)}
    return {**given, inputs.event_time: "datetime", **own}


def arrow_type(kind: str) -> "pa.DataType":
    """Return the Arrow type of a kind of column."""
    import pyarrow as pa

    types = {
        "double": pa.float64(),
        "long": pa.int64(),
        "string": pa.string(),
        "boolean": pa.bool_(),
        "datetime": pa.timestamp("us", tz="UTC"),
        "list": pa.list_(pa.float64()),
    }
    return types[kind]


def to_rows(
    columns: Mapping[str, Any],
    kinds: Mapping[str, str],
    key: Sequence[str],
    event_time: str,
    *,
    identity: Sequence[str] = (),
) -> "pa.Table":
    """Make rows of the log from columns.

    Args:
        columns: Values by column; times in microseconds since 1970, in UTC.
        kinds: Kind of each column.
        key: Key columns.
        event_time: Column of the event time.
        identity: Without a key, the columns that together identify a row; they may have missing values.

    Returns:
        The rows, with `_key` and `_day`.
    """
    return with_keys(columns_as_arrow(columns, kinds), key, event_time, identity=identity)


def columns_as_arrow(columns: Mapping[str, Any], kinds: Mapping[str, str]) -> "pa.Table":
    """Return columns with the types of the log; times are in microseconds since 1970, in UTC."""
    import pyarrow as pa

    return pa.table(
        {name: pa.array(columns[name], arrow_type(kind)) for name, kind in kinds.items() if name in columns}
    )


def with_keys(rows: "pa.Table", key: Sequence[str], event_time: str, *, identity: Sequence[str] = ()) -> "pa.Table":
    """Return columns from `columns_as_arrow` with `_key` and `_day`; the other arguments are those of `to_rows`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = rows.append_column(KEY, pa.array(_keys(rows, key, identity), type=pa.int64()))
    return rows.append_column(DAY, pc.cast(pc.floor_temporal(rows[event_time], unit="day"), pa.date32()))


def _keys(rows: "pa.Table", key: Sequence[str], identity: Sequence[str]) -> npt.NDArray[np.int64]:
    there = set(rows.column_names)
    if not key and identity and there.issuperset(identity):
        return row_keys(rows.select(list(identity)).to_pandas(), ())
    if not key or not there.issuperset(key):
        return _own_keys(rows)
    frame = rows.select(list(key)).to_pandas()
    keys, missing = row_keys(frame, key), frame.isna().any(axis=1).to_numpy()
    return np.where(missing, _own_keys(rows), keys) if missing.any() else keys


def _own_keys(rows: "pa.Table") -> npt.NDArray[np.int64]:
    """Return the keys of rows that nothing but their id identifies."""
    return row_keys(rows.select([PREDICTION_ID]).to_pandas(), [PREDICTION_ID])


def append(table: Table, rows: "pa.Table", writer: str, number: int = 1) -> bool:
    """Append rows to the log once.

    Args:
        table: The model's prediction log.
        rows: Rows from `to_rows`.
        writer: Name of the writer.
        number: Number of the writer's append; one that isn't higher than its last adds nothing.

    Returns:
        Whether the rows were added now.

    Raises:
        DataError: If a value doesn't fit the log's type for its column.
    """
    if rows.num_rows == 0:
        return False
    log = _opened(table, rows)
    if _last_append(log, writer) >= number:
        table.sync_found(writer)
        return False
    log, rows = fitted(table, log, rows)
    if _last_append(log, writer) >= number:  # it was opened again, and another one has written meanwhile
        return False
    _write(table, log, rows, {writer: number})
    return True


def append_missing(table: Table, rows: "pa.Table", writer: str = "") -> int:
    """Append the rows whose predictions the log does not have, by their ids.

    If two append the same rows at once, one fails with a conflict, and finds the rows at its next try.

    Args:
        table: The model's prediction log.
        rows: Rows from `to_rows`.
        writer: Name of the writer of the rows, if they have one.

    Returns:
        Number of added rows.

    Raises:
        DataError: If a value doesn't fit the log's type for its column.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    while True:
        log = _opened(table, rows)
        known, files = _known_ids(log, rows)
        missing = rows.filter(pc.invert(pc.is_in(rows[PREDICTION_ID], pa.array(sorted(known), pa.string()))))
        table.sync_files(files)  # a commit of theirs may not be flushed yet, and their segment is deleted next
        if missing.num_rows == 0:
            return 0
        version = log.version()
        log, missing = fitted(table, log, missing)
        if log.version() == version:
            last = {writer: _last_append(log, writer)} if writer and _last_append(log, writer) else {}
            _write(table, log, missing, {_RECOVERY: 1, **last})
            return int(missing.num_rows)


def _known_ids(log: "DeltaTable", rows: "pa.Table") -> tuple[set[str], set[str]]:
    """Return the ids of the log's predictions that are among some rows, and the files that have them."""
    import pyarrow.compute as pc
    import pyarrow.dataset as pds

    if PREDICTED_AT not in rows.column_names or not {PREDICTION_ID, PREDICTED_AT} <= {
        field.name for field in log.schema().fields
    }:
        return set(), set()
    span, at = pc.min_max(rows[PREDICTED_AT]), pds.field(PREDICTED_AT)
    near = (at >= span["min"]) & (at <= span["max"])
    there = log.to_pyarrow_dataset().to_table(columns=[PREDICTION_ID, _FILE], filter=near)
    there = there.filter(pc.is_in(there[PREDICTION_ID].cast("string"), rows[PREDICTION_ID].cast("string")))
    return set(there[PREDICTION_ID].to_pylist()), set(there[_FILE].to_pylist())


@panics_as_errors()
def _write(table: Table, log: "DeltaTable", rows: "pa.Table", writers: Mapping[str, int]) -> None:
    """Append rows in a commit that names its writers; it fails if one of them has committed since the log was read."""
    from deltalake import CommitProperties, Transaction, write_deltalake

    write_deltalake(
        log,
        rows.replace_schema_metadata(None),
        mode="append",
        partition_by=[DAY],
        schema_mode="merge",
        commit_properties=CommitProperties(
            app_transactions=[Transaction(writer, number) for writer, number in writers.items()]
        ),
        **how_to_write(rows),
    )
    table.sync(log.version())


def _opened(table: Table, rows: "pa.Table") -> "DeltaTable":
    """Open the log; create it without rows if there is none, so that of two writers one sees the other's rows."""
    if not table.exists():
        table.create(rows.schema.remove_metadata(), statistics=_STATISTICS)
    return table.open_to_append()


def last_append(table: Table, writer: str) -> int:
    """Return the number of the writer's last append in the log, or 0 without one."""
    return _last_append(_open(table), writer)


def _open(table: Table) -> "DeltaTable | None":
    return table.open_to_append() if table.exists() else None


def _last_append(log: "DeltaTable | None", writer: str) -> int:
    return 0 if log is None else log.transaction_version(writer) or 0


def read(
    table: Table,
    window: Window | None,
    event_time: str,
    *,
    columns: Sequence[str] | None = None,
    arms: Sequence[Arm] = ANSWERED,
    model_version: int | None = None,
) -> "pd.DataFrame":
    """Read predictions by event time.

    Args:
        table: The model's prediction log.
        window: Span of event time; by default everything.
        event_time: Column of the event time.
        columns: Columns to read; by default all.
        arms: Arms to read; by default those that were returned to clients.
        model_version: Version to read; by default all.

    Returns:
        The predictions in order of event time.
    """
    import pandas as pd

    wanted = None if columns is None else list(dict.fromkeys([*columns, ARM, MODEL_VERSION]))
    frames = list(table.batches(window, event_time, wanted)) if table.exists() else []
    frames = [frame[frame[ARM].isin(list(arms))] for frame in frames]
    if model_version is not None:
        frames = [frame[frame[MODEL_VERSION] == model_version] for frame in frames]
    if not frames:
        return pd.DataFrame(columns=wanted or [event_time, ARM, MODEL_VERSION])
    frame = pd.concat(frames, ignore_index=True)
    order = [name for name in (event_time, PREDICTION_ID) if name in frame]
    frame = frame.sort_values(order, ignore_index=True) if order else frame
    return frame if columns is None else frame[list(columns)]


def find_prediction(table: Table, prediction_id: str) -> dict[str, Any] | None:
    """Look one prediction up by its id.

    Returns:
        The row, or None if the log doesn't have it (yet).
    """
    import pyarrow.dataset as pds

    if not table.exists():
        return None
    dataset, wanted = table.dataset(), text_field(PREDICTION_ID) == prediction_id
    # The id contains the time of the prediction, which excludes nearly all files.
    since = _EPOCH + np.timedelta64(made_at_ms(prediction_id), "ms")
    at = pds.field(PREDICTED_AT)
    near = wanted & (at >= _utc(since)) & (at < _utc(since + np.timedelta64(2, "ms")))
    for condition in (near, wanted):
        if matches := dataset.to_table(filter=condition).to_pylist():
            return dict(matches[0])
    return None


def _utc(at: np.datetime64) -> "pa.Scalar":
    import pyarrow as pa

    return pa.scalar(int(at.astype("datetime64[us]").astype(np.int64)), pa.timestamp("us", tz="UTC"))
