"""A segment's micro-batches become the same columns by Arrow's reader as value by value."""

from typing import Any

import orjson
import pytest

from everfit.infra.serving import spooled_columns as spooled
from everfit.infra.serving.segment import Segment
from everfit.infra.serving.spool import UNFIT
from everfit.tasks.predictions.prediction_log import columns_as_arrow

KINDS = {"x": "double", "n": "long", "s": "string", "b": "boolean", "at": "datetime", "p": "list", "_joined": "string"}
_COLUMNS: dict[str, list[Any]] = {
    "x": [0.1, -0.0, 5e-324, 1.7976931348623157e308, None, 200.0, 1e22, 123456789.123456789],
    "n": [0, -(2**63), 2**63 - 1, None, 1, 2, 3, 4],
    "s": ["", 'a "b" \\ \n', "\x00\x1f", "müßig \U0001f600", "\u2028", None, "null", "[1]"],
    "b": [True, False, None, True, False, True, True, None],
    "at": [0, -1, 1_357_000_000_000_001, None, 2**53 + 1, 1, 1, 1],
    "p": [[0.1, 0.9], [], None, [None, 1.0], [1e-300], [0.5], [0.25], [1.0]],
}


def segment(*batches: dict[str, list[Any]]) -> Segment:
    """Return a segment of batches."""
    return Segment(1, KINDS, [orjson.dumps(batch) for batch in batches])


def part(start: int, stop: int) -> dict[str, list[Any]]:
    """Return some rows of the columns."""
    return {name: values[start:stop] for name, values in _COLUMNS.items()}


@pytest.mark.parametrize("bytes_at_once", [1, 2**20])
def test_all_values_are_those_that_were_spooled(bytes_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooled, "_BYTES_AT_ONCE", bytes_at_once)
    expected = columns_as_arrow(_COLUMNS, KINDS)
    monkeypatch.setattr(spooled, "_joined", None)  # none is read value by value, while no request is answered
    read = spooled.spooled_columns(segment(part(0, 1), part(1, 6), part(6, 8)))
    assert read.schema == expected.schema
    assert read.to_pylist() == expected.to_pylist()
    assert [str(value) for value in read["x"]] == [str(value) for value in expected["x"]]  # with the sign of zero


def test_a_column_that_some_batches_lack_is_missing_in_them() -> None:
    read = spooled.spooled_columns(segment(part(0, 3), {**part(3, 5), "_joined": ["a", "b"]}, part(5, 8)))
    assert read["_joined"].to_pylist() == [None] * 3 + ["a", "b"] + [None] * 3
    assert read.drop_columns(["_joined"]).to_pylist() == columns_as_arrow(_COLUMNS, KINDS).to_pylist()


@pytest.mark.parametrize(
    "wrong", [{"x": ["text"]}, {"s": [1]}, {"b": [2]}, {"at": ["now"]}, {"x": [1.0, 2.0]}, {"new": [1]}]
)
def test_what_does_not_fit_is_refused(wrong: dict[str, list[Any]]) -> None:
    with pytest.raises(UNFIT):
        spooled.spooled_columns(segment(part(0, 1), {**part(5, 6), **wrong}))


def test_an_empty_segment_has_no_columns() -> None:
    assert spooled.spooled_columns(segment()).num_rows == 0
