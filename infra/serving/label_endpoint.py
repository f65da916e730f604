"""Receive labels over HTTP."""

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from everfit.blocks.serving import ServingPolicy
from everfit.infra.serving.access import AccessError
from everfit.infra.serving.protocol import RequestError
from everfit.tasks.models.input_column import InputError, check_column, known_microseconds, microseconds
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.predictions import labels
from everfit.tasks.predictions.label_index import LabelIndex
from everfit.tasks.predictions.prediction_log import CLIENT
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.tables import KEY, Table
from everfit.tasks.storage.values import LARGEST

if TYPE_CHECKING:
    import pandas as pd

    from everfit.infra.serving.servable import Servable

logger = logging.getLogger(__name__)


def read_labels(content: Any, servable: "Servable", now: datetime, client: str) -> "pd.DataFrame":
    """Read and check `{"labels": [{"key": …, "label": …, "label_time": …}]}`.

    Args:
        content: Content of the request.
        servable: The champion, whose key and classes the labels must have.
        now: Label time of labels without one.
        client: The client.

    Returns:
        Rows of the labels table.

    Raises:
        RequestError: If the content has another form.
        InputError: If a key or a label doesn't fit the model.
    """
    import pandas as pd

    entries = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries or not all(isinstance(item, dict) for item in entries):
        raise RequestError('the body must be {"labels": […]}, each an object with `key` and `label`', 422)
    inputs = servable.inputs
    if not inputs.key:
        raise RequestError("this model has no key, so no label can find its prediction; give its spec columns.key", 422)
    keys = [_key(entry.get("key"), row, inputs) for row, entry in enumerate(entries)]
    columns: dict[str, Any] = {}
    for column in inputs.key:
        values = [key[column.name] for key in keys]
        strict = column.model_copy(update={"nullable": False, "categories": None})
        if column.kind == "datetime" or column.name == inputs.event_time:
            times = [microseconds(value, column.name, row) for row, value in enumerate(values)]
            columns[column.name] = pd.to_datetime(pd.Series(times), unit="us", utc=True)
        else:
            columns[column.name] = check_column(strict, values)
    target = pd.Series([_label(entry.get("label"), row, servable) for row, entry in enumerate(entries)])
    at = [_time(entry.get("label_time"), row, now) for row, entry in enumerate(entries)]
    hashed = row_keys(pd.DataFrame(columns), [column.name for column in inputs.key])
    rows = labels.label_rows(hashed, target, pd.to_datetime(pd.Series(at), unit="us", utc=True), inputs.task, client)
    if (row := _contradicting(rows)) is not None:
        given = entries[row].get("label")
        raise InputError("label", "one label for a key and time, and an earlier row has another one", given, row)
    return rows


def _contradicting(rows: "pd.DataFrame") -> int | None:
    """Return the first row whose label differs from that of an earlier row with its key and time; None without one."""
    moment = [KEY, labels.LABEL_TIME]
    if not rows.duplicated(moment).any():
        return None
    differs = rows[labels.LABEL] != rows.groupby(moment)[labels.LABEL].transform("first")
    return int(differs.to_numpy().argmax()) if differs.any() else None


def check_labeller(policy: ServingPolicy, client: str) -> None:
    """Refuse labels of a client without the right to send them.

    Args:
        policy: The policy, which names the clients with the right.
        client: The client of the request.

    Raises:
        AccessError: The policy names others.
    """
    if policy.label_clients and client not in policy.label_clients:
        raise AccessError(
            f"the client {client!r} has no right to send labels for this model; release.serving.label_clients in the "
            "spec names those that have it",
            403,
        )


def check_own(log: Table, index: LabelIndex, rows: "pd.DataFrame", client: str) -> None:
    """Refuse labels of predictions that the client has not asked for.

    Args:
        log: The prediction log.
        index: The log's files that the service knows from earlier requests.
        rows: Rows from `read_labels`.
        client: The client of the request.

    Raises:
        AccessError: The log has no prediction of this client for a key.
    """
    keys, own = rows[KEY].to_numpy(), np.zeros(0, dtype=np.int64)
    if log.exists():
        asked = index.find(log, log.version(), keys, [KEY, CLIENT])
        own = asked.loc[asked[CLIENT] == client, KEY].to_numpy()
    foreign = ~np.isin(keys, own)
    if foreign.any():
        raise AccessError(
            f"{int(foreign.sum()):,} of {len(rows):,} labels are of keys for which the prediction log has no "
            f"prediction of the client {client!r}; nothing was recorded. A client labels only its own predictions "
            "(release.serving.labels_of in the spec), once they are in the log, some seconds after the answer",
            403,
        )


def _key(key: Any, row: int, inputs: InputSchema) -> dict[str, Any]:
    names = [column.name for column in inputs.key]
    if len(names) == 1 and key is not None and not isinstance(key, dict | list):
        return {names[0]: key}
    if not isinstance(key, dict) or set(key) != set(names):
        raise InputError("key", f"an object with {', '.join(names)}", key, row)
    return key


def _label(value: Any, row: int, servable: "Servable") -> Any:
    classes = servable.scorer.classes
    if classes:
        known = servable.inputs.known_label(value, classes)
        if known is None:
            named = ", ".join(str(servable.inputs.answer(one)) for one in classes)
            raise InputError("label", f"one of the classes {named}", value, row)
        return known
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise InputError("label", f"a finite number of at most {LARGEST:.1e}", value, row)
    return float(value)


def _time(value: Any, row: int, now: datetime) -> int:
    """Return the label time; now if it is missing or not known, as for labels from a file."""
    at = None if value is None else known_microseconds(value, "label_time", row)
    return microseconds(now.isoformat(), "label_time", row) if at is None else at


def utc_now() -> datetime:
    """Return the service's time, which is the label time of labels without one."""
    return datetime.now(UTC)
