"""Columns are checked as a whole as value by value; and floats become arrays once for all who compute with them."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.tasks.models.input_column import InputColumn, InputError, Kind, check_column, times_of
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.storage.kinds import Kind as Meaning
from everfit.tasks.storage.values import LARGEST

_VALUES: dict[Kind, list[Any]] = {
    "double": [0.5, -0.0, LARGEST, -LARGEST, 1.0, 0.0, 1e39, -1e39, math.inf, -math.inf, math.nan, 1, True, None, "1"],
    "long": [0, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 1.0, 0.5, True, None, "1"],
    "string": ["AA", "B6", "aa", "ZZ", "", 1, None],
    "boolean": [True, False, 0, 1, None, "true"],
    "datetime": [
        *("2013-10-01T12:00:00Z", "2013-10-01T12:00:00.000001+02:00", "2013-10-01", "2013-10-01T12:00:00"),
        *("9999-12-31T00:00:00Z", "1900-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "now", 1, None),
    ],
}
_USUAL: dict[Kind, int] = {"double": 6, "long": 3, "string": 3, "boolean": 2, "datetime": 2}
_MEANINGS: dict[Kind, list[Meaning | None]] = {
    "double": [None, "decimal", "boolean"],
    "long": [None, "integer"],
    "string": [None, "text", "folded"],
    "boolean": [None, "boolean"],
    "datetime": [None, "time"],
}


@given(st.data())
def test_a_column_is_checked_as_its_values_are(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(list(_VALUES)))
    few = _VALUES[kind][: data.draw(st.sampled_from([_USUAL[kind], len(_VALUES[kind])]))]
    values = data.draw(st.lists(st.sampled_from(few), min_size=2, max_size=5))
    meaning = data.draw(st.sampled_from(_MEANINGS[kind]))
    known = ("aa", "b6") if meaning == "folded" else ("AA", "B6")
    column = InputColumn(
        name="it",
        kind=kind,
        nullable=data.draw(st.booleans()),
        categories=known if kind == "string" and data.draw(st.booleans()) else None,
        meaning=meaning,
    )
    accept = data.draw(st.booleans())

    def outcome(some: list[Any]) -> Any:
        try:
            return [repr(value) for value in check_column(column, some, new_categories=accept)]
        except InputError as error:
            return (error.expected, repr(error.value))

    alone = [outcome([value]) for value in values]
    refused = [one for one in alone if isinstance(one, tuple)]
    assert outcome(values) == (refused[0] if refused else [text for one in alone for text in one])


def test_event_times_are_read_at_once_and_one_by_one() -> None:
    times = ["2013-10-01T12:00:00Z", "2013-10-01T14:00:00.000001+02:00", None, "2013-10-01"]
    noon = 1_380_628_800_000_000
    assert times_of(times[:2], "at", 7) == [noon, noon + 1]
    assert times_of(times, "at", 7) == [noon, noon + 1, 7, noon - 43_200_000_000]
    with pytest.raises(InputError, match=r"row 1: .* a time that is known"):
        times_of([times[0], "9999-12-31T00:00:00Z"], "at", 7)


def test_floats_become_arrays_and_the_rest_stays() -> None:
    double, text = InputColumn(name="x", kind="double", nullable=True), InputColumn(name="s", kind="string")
    columns: dict[str, list[Any]] = {"s": ["a", "b"], "x": [0.5, None]}
    arrays = InputSchema(task="binary", features=(double, text)).in_arrays(columns)
    np.testing.assert_array_equal(arrays["x"], [0.5, math.nan])
    assert arrays["s"] is columns["s"]
    assert InputSchema(task="binary", features=(text,)).in_arrays({"s": ["a"]}) == {"s": ["a"]}
