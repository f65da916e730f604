"""Times that are written as numbers."""

import pandas as pd
import pytest

from everfit.blocks.errors import SourceError
from everfit.tasks.sources.times import read_times

AT = pd.date_range("2024-01-31 23:00", periods=5, freq="7min", tz="UTC").as_unit("us")
PER_SECOND = {"epoch_s": 1, "epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}
SECONDS = pd.Series(AT.astype("int64") // 10**6)


@pytest.mark.parametrize("time_format", PER_SECOND)
@pytest.mark.parametrize("dtype", ["int64", "float64", "str"])
def test_each_unit_since_1970_is_read(time_format: str, dtype: str) -> None:
    written = (SECONDS * PER_SECOND[time_format]).astype(dtype)

    assert read_times(written, time_format, "at").tolist() == AT.tolist()


@pytest.mark.parametrize("dtype", ["float64", "str"])
def test_days_of_a_spreadsheet_are_read_to_the_millisecond(dtype: str) -> None:
    days = pd.Series((AT.tz_localize(None) - pd.Timestamp("1899-12-30")) / pd.Timedelta("1D")).astype(dtype)

    assert read_times(days, "excel", "at").tolist() == AT.tolist()


@pytest.mark.parametrize("said", PER_SECOND)
@pytest.mark.parametrize("written", PER_SECOND)
def test_another_unit_than_the_format_says_is_an_error_that_names_it(said: str, written: str) -> None:
    if said != written:
        with pytest.raises(SourceError, match=rf"\({written}\), and time_format says"):
            read_times(SECONDS * PER_SECOND[written], said, "at")


def test_a_number_that_is_no_time_is_missing_and_the_others_are_read() -> None:
    assert read_times(pd.Series([*SECONDS, 10**18, -(10**18)]), "epoch_s", "at").isna().sum() == 2


def test_old_times_are_read() -> None:
    births = pd.Series(pd.date_range("1931-01-01", periods=5, freq="YS", tz="UTC"))

    assert (
        read_times((births - pd.Timestamp(0, tz="UTC")).dt.total_seconds(), "epoch_s", "at").tolist() == births.tolist()
    )
