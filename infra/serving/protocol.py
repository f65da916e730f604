"""Parse requests into columns: MLflow's scoring protocol, CSV, and everfit's own records."""

import contextlib
import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

import orjson

from everfit.blocks.errors import EverfitError
from everfit.blocks.serving import ServingPolicy
from everfit.tasks.models.input_column import InputColumn, InputError, check_column, times_of
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.storage.kinds import CANONICAL_INTEGER, Amount

JSON, CSV = "application/json", "text/csv"
FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")

# Texts that pandas, and so `mlflow models serve`, reads as missing in CSV.
_CSV_NULLS = frozenset(
    {
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A"),
        *("NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    }
)
_CSV_BOOLEANS = {"true": True, "TRUE": True, "True": True, "false": False, "FALSE": False, "False": False}


class RequestError(EverfitError):
    """A request that can't be read.

    Attributes:
        status: HTTP status of the response.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class RequestTable:
    """Rows of a request.

    Attributes:
        columns: JSON values by column.
        rows: Number of rows.
    """

    columns: Mapping[str, Sequence[Any]]
    rows: int


def read_json(body: bytes) -> Any:
    """Parse JSON, also Python's form of it: NaN is a missing value, as MLflow's own client sends it.

    Raises:
        RequestError: If it isn't JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if b"NaN" in body or b"Infinity" in body:
            with contextlib.suppress(ValueError, TypeError, RecursionError):
                content = json.loads(body, parse_constant=_CONSTANTS.__getitem__, parse_int=_whole)
                if b"\\ud" in body.lower():
                    orjson.dumps(content)  # refuses half a character, which Python's parser takes
                return content
        raise RequestError(f"the body is not JSON: {error.msg} at character {error.pos}; write null for NaN") from None


_CONSTANTS = {"NaN": None, "Infinity": math.inf, "-Infinity": -math.inf}  # the schema's check refuses infinity


def _whole(digits: str) -> int | float:
    """Return a whole number, or a float if it doesn't fit into 64 bits, like the other parser."""
    number = int(digits) if len(digits) <= 20 else None
    return number if number is not None and -(2**63) <= number < 2**64 else float(digits)


def media_type(content_type: str, *accepted: str) -> str:
    """Return the media type of a request's body.

    A page of another site can send text or a form without the browser's question whether it may, but no JSON.

    Args:
        content_type: The request's header.
        *accepted: The media types that the route reads.

    Raises:
        RequestError: If the body is of another type or encoding.
    """
    kind, *parameters = [part.strip() for part in content_type.split(";")]
    options = {
        name.lower(): value.strip('"').lower() for name, _, value in (part.partition("=") for part in parameters)
    }
    if options.get("charset", "utf-8") not in {"utf-8", "utf8"} or set(options) - {"charset"}:
        raise RequestError(f"content type {content_type!r}: only the parameter charset=utf-8 is understood", 415)
    if kind.lower() not in accepted:
        raise RequestError(f"content type {content_type!r} is not supported; send {' or '.join(accepted)}", 415)
    return kind.lower()


def read_invocation(body: bytes, content_type: str, inputs: InputSchema) -> RequestTable:
    """Parse a request of MLflow's scoring protocol.

    Args:
        body: Body of the request.
        content_type: Its content type.
        inputs: Inputs of the model.

    Raises:
        RequestError: If the request doesn't follow the protocol.
    """
    if media_type(content_type, JSON, CSV) == CSV:
        return parse_csv(body, inputs)
    content = read_json(body)
    if not isinstance(content, dict):
        raise RequestError(f"the body must be a JSON object with one of {', '.join(FORMATS)}")
    formats = [name for name in FORMATS if name in content]
    if len(formats) != 1:
        raise RequestError(
            f"the body must have exactly one of {', '.join(FORMATS)}; it has {formats or 'none of them'}"
        )
    return _READERS[formats[0]](content[formats[0]], inputs)


def _read_split(content: Any, _: InputSchema) -> RequestTable:
    if not isinstance(content, dict) or not isinstance(content.get("data"), list) or set(content) - _SPLIT_KEYS:
        raise RequestError("dataframe_split must be an object with `columns`, `data` and, if wanted, `index`")
    names, data = content.get("columns"), content["data"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RequestError("dataframe_split needs `columns`: a list of the columns' names")
    if len(set(names)) != len(names):
        raise RequestError("dataframe_split names a column twice")
    if not all(isinstance(row, list) and len(row) == len(names) for row in data):
        raise RequestError(f"dataframe_split: every row of `data` must be a list of {len(names)} values")
    columns = dict(zip(names, map(list, zip(*data, strict=True)), strict=True)) if data else {}
    return RequestTable(columns, len(data))


_SPLIT_KEYS = {"columns", "data", "index"}


def _read_records(content: Any, _: InputSchema) -> RequestTable:
    if not isinstance(content, list) or not set(map(type, content)) <= {dict}:
        raise RequestError("the rows must be a list of objects, one per row")
    return records_table(content)


def records_table(records: Sequence[Mapping[str, Any]]) -> RequestTable:
    """Convert rows to columns; a missing value is null, as in pandas."""
    if len(records) == 1:
        return RequestTable({name: [value] for name, value in records[0].items()}, 1)
    if len(set(map(len, records))) == 1:
        with contextlib.suppress(KeyError):  # one has other columns than the first
            return RequestTable({name: list(map(itemgetter(name), records)) for name in records[0]}, len(records))
    names = dict.fromkeys(name for record in records for name in record)
    return RequestTable({name: [record.get(name) for record in records] for name in names}, len(records))


def _read_instances(content: Any, inputs: InputSchema) -> RequestTable:
    if isinstance(content, list) and content and all(isinstance(row, list) for row in content):
        return _read_positions(content, inputs)
    return _read_records(content, inputs)


def _read_positions(content: list[list[Any]], inputs: InputSchema) -> RequestTable:
    names = [column.name for column in inputs.features]
    if not all(len(row) == len(names) for row in content):
        raise RequestError(f"every row must have {len(names)} values, in the order of the model's signature")
    return RequestTable(dict(zip(names, map(list, zip(*content, strict=True)), strict=True)), len(content))


def _read_inputs(content: Any, inputs: InputSchema) -> RequestTable:
    if not isinstance(content, dict):
        return _read_instances(content, inputs)
    if not all(isinstance(values, list) for values in content.values()):
        if any(isinstance(values, list | dict) for values in content.values()):
            raise RequestError("inputs must be lists of values by column, or one value by column")
        return records_table([content])
    lengths = {len(values) for values in content.values()}
    if len(lengths) > 1:
        raise RequestError(f"inputs: the columns have different lengths ({', '.join(map(str, sorted(lengths)))})")
    return RequestTable(content, lengths.pop() if lengths else 0)


_READERS: dict[str, Callable[[Any, InputSchema], RequestTable]] = {
    "dataframe_split": _read_split,
    "dataframe_records": _read_records,
    "instances": _read_instances,
    "inputs": _read_inputs,
}


def parse_csv(body: bytes, inputs: InputSchema) -> RequestTable:
    """Parse CSV with a header, as `DataFrame.to_csv(index=False)` writes it.

    Raises:
        RequestError: If it isn't CSV in UTF-8.
        InputError: If a value doesn't have its column's type.
    """
    try:
        rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"the body is not CSV in UTF-8: {type(error).__name__}") from None
    header, *lines = [row for row in rows if row] or [[]]
    if len(set(header)) != len(header):
        raise RequestError("the CSV names a column twice")
    if not all(len(line) == len(header) for line in lines):
        raise RequestError(f"every line of the CSV must have {len(header)} values")
    texts = dict(zip(header, zip(*lines, strict=True), strict=True)) if lines else {}
    known = {**{column.name: column for column in inputs.key}, **inputs.columns}
    return RequestTable(
        {name: _csv_values(known[name], values) if name in known else list(values) for name, values in texts.items()},
        len(lines),
    )


def _csv_values(column: InputColumn, texts: Sequence[str]) -> list[Any]:
    as_written = isinstance(column.meaning, Amount)
    return [None if text in _CSV_NULLS else text if as_written else _csv_value(column, text) for text in texts]


def _csv_value(column: InputColumn, text: str) -> Any:
    try:
        if column.kind == "double":
            return float(text)
        if column.meaning == "integer":
            return int(text) if re.fullmatch(CANONICAL_INTEGER, text) else text
        if column.kind == "long":
            return int(text) if text.lstrip("+-").isdigit() else float(text)
        if column.kind == "boolean":
            return _CSV_BOOLEANS[text]
    except (ValueError, KeyError):
        return text  # the schema's check refuses it
    return text


@dataclass(frozen=True)
class Identified:
    """Identity of a request's rows: the columns of the log that aren't features.

    Attributes:
        columns: Key columns and event time.
        key: Values of each key column, None where a row lacks them.
        rows: Number of rows.
    """

    columns: dict[str, list[Any]]
    key: Sequence[Sequence[Any]]
    rows: int

    @property
    def keys(self) -> list[str]:
        """Return for each row a text that is equal for equal keys; empty without a key."""
        parts = zip(*self.key, strict=True)
        return ["" if None in part else repr(part) for part in parts] if self.key else [""] * self.rows


def check_times(at: Sequence[int | None], column: str, now_us: int, policy: ServingPolicy) -> None:
    """Refuse rows whose event time is too old or too far ahead, such as the year 1901 of a wrong unit.

    Args:
        at: Event time of each row, in microseconds since 1970, or None.
        column: Column of the event time.
        now_us: The present, in microseconds since 1970.
        policy: The bounds.

    Raises:
        InputError: A row is outside of the bounds.
    """
    first = now_us - policy.max_age // timedelta(microseconds=1)
    last = now_us + policy.max_ahead // timedelta(microseconds=1)
    known = [value for value in at if value is not None]
    if not known or (first <= min(known) and max(known) <= last):
        return
    for row, value in enumerate(at):
        if value is not None and not first <= value <= last:
            bounds = f"{_day(first)} to {_day(last)} (release.serving.max_age and max_ahead)"
            raise InputError(column, f"a time from {bounds}", _day(value), row)


def _day(at_us: int) -> str:
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us):%Y-%m-%d}"


def identify(table: RequestTable, features: Mapping[str, list[Any]], inputs: InputSchema, now_us: int) -> Identified:
    """Read key and event time from a request.

    Args:
        table: The request.
        features: Its checked features; key columns may be among them.
        inputs: Inputs of the model.
        now_us: Event time of rows without one, in microseconds since 1970.

    Raises:
        InputError: If a key column or the event time has another type.
    """
    rows = table.rows
    times = table.columns.get(inputs.event_time)
    given = [None] * rows if times is None else times
    at = [now_us] * rows if times is None else times_of(times, inputs.event_time, now_us)
    columns: dict[str, list[Any]] = {} if inputs.event_time in features else {inputs.event_time: at}
    named: list[list[Any]] = []
    for column in inputs.key:
        if column.name == inputs.event_time:
            # A default event time identifies no row.
            named.append([None if value is None else stamp for value, stamp in zip(given, at, strict=True)])
        elif column.name in features:
            named.append(features[column.name])
        else:
            values = table.columns.get(column.name, table.columns.get(f"_{column.name}", [None] * rows))
            if len(values) != rows:
                raise InputError(column.name, f"{rows} values; it has {len(values)}")
            values = check_column(column.model_copy(update={"nullable": True, "categories": None}), values)
            columns[column.name] = values
            named.append(values)
    return Identified(columns, named, rows)
