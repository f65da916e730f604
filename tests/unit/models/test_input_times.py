"""Times in requests are read as those of a source are: some say that the time is not known."""

import pandas as pd
import pytest

from everfit.tasks.models.input_column import InputColumn, InputError, check_column, microseconds
from everfit.tasks.storage.times import as_times


@pytest.mark.parametrize(
    "written",
    [
        "2024-01-31",
        "2024-01-31T06:00:00+02:00",
        "1890-05-01",
        "2199-12-31T23:59:59Z",
        "2200-01-01",
        "9999-12-31",
        "9999-12-31T23:59:59.999999-14:00",
        "0001-01-01",
        "0001-01-03",
        "0001-01-04",
    ],
)
def test_a_time_of_a_request_is_that_of_a_row_of_a_source(written: str) -> None:
    column = InputColumn(name="opened", kind="datetime", nullable=True)

    (at,) = check_column(column, [written])

    (held,) = as_times(pd.Series([written]))
    assert at == (None if held is pd.NaT else held.asm8.astype("int64"))


def test_a_time_that_is_not_known_is_refused_where_there_must_be_one() -> None:
    with pytest.raises(InputError, match=r"'at', row 2: expected a time that is known; .* got '9999-12-31'"):
        microseconds("9999-12-31", "at", 2)
    with pytest.raises(InputError, match=r"\(it was never null in training\), got '9999-12-31'"):
        check_column(InputColumn(name="opened", kind="datetime"), ["9999-12-31"])
    with pytest.raises(InputError, match=r"a time in ISO 8601, such as .*, got 'soon'"):
        microseconds("soon", "at", 0)
