"""The demo's data, on the real flights."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from everfit.deployments.demo import data
from everfit.deployments.demo.data import prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "flights"
    prepare(folder)
    return folder


@pytest.fixture(scope="module")
def flights(folder: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))])


@pytest.mark.slow
def test_every_flight_of_the_year_is_there_once(flights: pd.DataFrame) -> None:
    assert len(flights) == 336_776
    assert not flights.duplicated(["scheduled_departure", "carrier", "flight", "origin"]).any()


@pytest.mark.slow
def test_nothing_known_only_after_the_scheduled_departure_is_among_the_columns(flights: pd.DataFrame) -> None:
    leaks = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "cancelled", "year", "month", "day"}
    assert not leaks & set(flights.columns)


def test_the_label_is_known_exactly_when_the_flight_has_arrived(flights: pd.DataFrame) -> None:
    assert (flights["late"].notna() == flights["arrived_at"].notna()).all()
    assert round(flights["late"].isna().mean(), 3) == 0.028
    assert round(float(flights["late"].mean()), 3) == 0.237


def test_a_flight_arrives_after_it_should_have_left(flights: pd.DataFrame) -> None:
    took = (flights["arrived_at"] - flights["scheduled_departure"]).dropna()
    assert took.min() > timedelta(0)
    assert took.median() == timedelta(hours=2, minutes=50)
    assert took.quantile(0.99) == timedelta(hours=7, minutes=44)


def test_times_are_utc_in_winter_and_in_summer(flights: pd.DataFrame) -> None:
    def flight(day: str, carrier: str, number: int) -> pd.Series:
        day_there = flights["scheduled_departure"].dt.tz_convert("America/New_York").dt.normalize()
        result = flights[
            (day_there == pd.Timestamp(day, tz="America/New_York"))
            & (flights["carrier"] == carrier)
            & (flights["flight"] == number)
        ]
        assert len(result) == 1
        return result.iloc[0]

    # 5:15 in New York in winter, to Houston: due at 8:19 Central time, 11 minutes late.
    winter = flight("2013-01-01", "UA", 1545)
    assert winter["scheduled_departure"] == pd.Timestamp("2013-01-01T10:15Z")
    assert winter["arrived_at"] == pd.Timestamp("2013-01-01T14:30Z")
    # 10:00 in New York in summer, to Honolulu, where there is no summer time.
    summer = flight("2013-07-01", "HA", 51)
    assert summer["scheduled_departure"] == pd.Timestamp("2013-07-01T14:00Z")
    assert summer["arrived_at"].tz_convert("Pacific/Honolulu").date() == summer["scheduled_departure"].date()


def test_weather_and_planes_are_joined_where_there_are_any(flights: pd.DataFrame) -> None:
    assert round(flights["temp"].notna().mean(), 3) == 0.995
    assert round(flights["seats"].notna().mean(), 2) == 0.84


def test_a_second_preparation_leaves_the_files_alone(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert prepare(folder) == sorted(before)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.slow
def test_what_an_interrupted_preparation_left_is_mended(folder: Path, flights: pd.DataFrame) -> None:
    paths = prepare(folder)
    paths[2].write_bytes(paths[2].read_bytes()[:1000])
    paths[5].unlink()
    pd.DataFrame({"other": [1]}).to_parquet(paths[7])
    (folder / ".flights-2013-04.parquet.1.part").write_bytes(b"PAR1")

    prepare(folder)

    assert sorted(folder.iterdir()) == paths
    assert sum(pq.read_metadata(path).num_rows for path in paths) == len(flights)


def test_the_demos_spec_names_columns_that_exist() -> None:
    path = Path(data.__file__).parents[1] / "models" / "flight-delays.yaml"
    spec = yaml.safe_load(path.read_text())
    columns = spec["columns"]
    named = [*columns["key"], columns["event_time"], columns["label_time"], columns["target"]]
    assert set(named) | set(columns["features"]) | set(columns["ignore"]) == set(data.COLUMNS)
