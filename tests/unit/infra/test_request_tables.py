"""Rows of a request become columns, whichever columns each row has."""

from typing import Any

import pytest

from everfit.infra.serving.protocol import RequestError, identify, read_invocation, read_json, records_table
from everfit.tasks.models.input_column import InputColumn
from everfit.tasks.models.input_schema import InputSchema

INPUTS = InputSchema(
    task="binary",
    features=(InputColumn(name="a", kind="long"),),
    key=(InputColumn(name="a", kind="long"), InputColumn(name="b", kind="string")),
    event_time="at",
)


@pytest.mark.parametrize(
    ("records", "columns"),
    [
        ([{"a": 1, "b": 2}, {"b": 3, "a": 4}], {"a": [1, 4], "b": [2, 3]}),
        ([{"a": 1, "b": 2}, {"a": 3, "c": 4}], {"a": [1, 3], "b": [2, None], "c": [None, 4]}),
        ([{"a": 1}, {"a": 2, "b": 3}], {"a": [1, 2], "b": [None, 3]}),
        ([{"a": 1, "b": 2}], {"a": [1], "b": [2]}),
        ([{}, {}], {}),
        ([], {}),
    ],
)
def test_rows_become_columns_and_what_one_lacks_is_null(
    records: list[dict[str, Any]], columns: dict[str, list[Any]]
) -> None:
    table = records_table(records)
    assert (table.columns, table.rows) == (columns, len(records))


def test_a_row_that_is_no_object_is_refused() -> None:
    with pytest.raises(RequestError, match="a list of objects"):
        read_invocation(b'{"dataframe_records": [{"a": 1}, [1]]}', "application/json", INPUTS)


def test_rows_with_equal_keys_have_equal_texts_and_those_without_a_whole_one_have_none() -> None:
    table = records_table([{"a": 1, "b": "x"}, {"a": 1, "b": "x"}, {"a": 2, "b": "x"}, {"a": 2, "b": None}])
    first, same, other, none = identify(table, {"a": [1, 1, 2, 2]}, INPUTS, 0).keys
    assert first == same != other
    assert none == ""
    keyless = INPUTS.model_copy(update={"key": ()})
    assert identify(table, {}, keyless, 0).keys == [""] * 4


def test_half_a_character_is_no_text_beside_nan_either() -> None:
    assert read_json(rb'{"x": NaN, "text": "\ud83d\ude00 \ud7ff"}') == {"x": None, "text": "\U0001f600 \ud7ff"}
    for body in (rb'{"x": NaN, "text": "\ud800"}', rb'{"x": NaN, "text": ["\uDC00"]}', rb'{"x": 1, "text": "\ud800"}'):
        with pytest.raises(RequestError, match="not JSON"):
            read_json(body)
