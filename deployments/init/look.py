"""A look at a table: a bounded, seeded sample of any source, and the kind of each column."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import Source
from everfit.blocks.spec import ColumnRoles
from everfit.deployments.init.names import is_named_as_time
from everfit.tasks.core.records import Window
from everfit.tasks.data.sampling import even_sample
from everfit.tasks.sources import FileStates, read_source
from everfit.tasks.sources.file_state import mixed_zones_note
from everfit.tasks.sources.times import has_mixed_zones, known_times, read_times
from everfit.tasks.storage.amounts import amount_kind
from everfit.tasks.storage.kinds import STORED, Amount, Kind, common_kind, infer_kind, plain
from everfit.tasks.storage.values import FAULTS, faulty, name_of, normalise

SAMPLE_ROWS = 200_000
"""The largest number of rows in the sample; a larger table gives every k-th row."""

_FEW_COLUMNS = 20
_FOREVER = Window(until=datetime(2200, 1, 1, tzinfo=UTC))
_DAYS = (
    "%d.%m.%Y",
    "%d.%m.%y",
    "%d/%m/%Y",
    "%d/%m/%y",
    "%m/%d/%Y",
    "%m/%d/%y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
)
_CLOCKS = ("", " %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p", " %H:%M:%S.%f")
_TIME_FORMATS = tuple(f"{day}{clock}" for day in _DAYS for clock in _CLOCKS)


@dataclass(frozen=True)
class Look:
    """A sample of a table and facts about it.

    Attributes:
        source: The source as in a spec.
        frame: The sample: numbers, texts and times.
        rows: The number of rows of the whole table.
        times: The format of each column of times; None for ISO 8601.
        left_out: Columns that no model can use, each with the reason.
        remarks: How the rows were read, where people should know; one sentence each.
        numbers: How the numbers of columns of text are written.
        ambiguous: Another format that reads all times of a column too, by column.
    """

    source: dict[str, Any]
    frame: pd.DataFrame
    rows: int
    times: dict[str, str | None]
    ambiguous: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    numbers: dict[str, Amount] = field(default_factory=dict)

    @cached_property
    def distinct(self) -> pd.DataFrame:
        """The sample with each duplicate row once."""
        few = list(self.frame.columns[:_FEW_COLUMNS])
        if not self.frame.duplicated(few).any():  # then no rows are equal, and many columns take long to compare
            return self.frame
        return self.frame.drop_duplicates()


def source_of(data: str) -> dict[str, Any]:
    """Return the source of a path or address.

    Args:
        data: A path, glob or folder, `s3://…`, `https://…`, `delta:PATH`, `module:function`, or an SQLAlchemy URL with
            the table after `#`, or `env:NAME#table` where a variable has the URL.
    """
    if data.startswith("delta:"):
        return {"kind": "delta", "path": data.removeprefix("delta:")}
    if parts := re.fullmatch(r"((?:env|block):[^#]+)#(.+)", data):
        return {"kind": "sql", "url": parts[1], "table": parts[2]}
    if "://" in data and not data.startswith(("s3://", "http://", "https://", "file://")):
        url, _, table = data.partition("#")
        if table:
            if urlsplit(url).password:
                raise SourceError(
                    f"the address contains a password, which a spec must not hold; put the address into an environment "
                    f"variable, such as SALES_URL, and give env:SALES_URL#{table}"
                )
            return {"kind": "sql", "url": url, "table": table}
        if _is_database(url):
            raise SourceError(f"{data.partition('://')[0]}://… has no table; add one at the end, such as #sales")
    if Path(data).is_dir() and (Path(data) / "_delta_log").is_dir():
        return {"kind": "delta", "path": data}
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", data) and not Path(data).exists():
        return {"kind": "python", "function": data}
    return {"kind": "files", "path": data}


def _is_database(url: str) -> bool:
    """Return whether SQLAlchemy knows the scheme of the address."""
    import sqlalchemy as sa

    try:
        sa.engine.make_url(url).get_dialect()
    except sa.exc.ArgumentError:  # not an address, or an unknown scheme
        return False
    return True


def look(data: str, target: str, file_options: Mapping[str, str | None] | None = None) -> Look:
    """Read the source once, keeping a sample.

    Args:
        data: The path or address of the data.
        target: The column to predict.
        file_options: Settings that the files don't show: `format`, `delimiter`, `encoding`.

    Raises:
        SourceError: The data can't be read, or has no such target.
    """
    source = source_of(data)
    for name, value in (file_options or {}).items():
        if value is not None:
            if source["kind"] != "files":
                raise SourceError(f"--{name} {value!r} applies to files only, but {data!r} is not a file; remove it")
            source[name] = value.encode().decode("unicode_escape") if name == "delimiter" and "\\" in value else value
    try:
        parsed: Any = TypeAdapter(Source).validate_python(source)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]  # the input may contain a password
        raise SourceError(f"source.{problem['loc'][-1]}: {problem['msg']}") from error
    roles, states = ColumnRoles(target=target), FileStates()
    frame, rows = even_sample((piece.frame for piece in read_source(parsed, roles, _FOREVER, states)), SAMPLE_ROWS)
    if not rows:
        raise SourceError(f"{data!r} has no rows; give data with a header and rows")
    if FAULTS in frame.columns:  # lines that could not be read have no values
        frame, rows = frame[~faulty(frame)].reset_index(drop=True), rows - sum(states.broken.values())
    own = [name for name in frame.columns if str(name).startswith("_")]
    frame, times, ambiguous, odd, numbers = _typed(frame.drop(columns=own), target)
    return Look(source, frame, rows, times, ambiguous, states.left_out, [*states.remarks(), *odd], numbers)


def _typed(
    frame: pd.DataFrame, target: str
) -> tuple[pd.DataFrame, dict[str, str | None], dict[str, str], list[str], dict[str, Amount]]:
    kinds: dict[str, Kind] = {
        name: common_kind([infer_kind(frame[name], is_key=False, is_label=name == target)]) for name in frame.columns
    }
    times: dict[str, str | None] = {}
    ambiguous: dict[str, str] = {}
    numbers = _written_numbers(frame, kinds)
    kinds |= numbers
    for name, kind in kinds.items():
        if name == target:
            continue
        if kind in {"time", "day"}:
            times[name] = None
        elif kind == "text" and (formats := _time_formats(frame[name])):
            times[name] = formats[0] or None
            ambiguous |= {name: formats[1]} if len(formats) > 1 else {}
        elif STORED[plain(kind)] == "double" and is_named_as_time(name) and (unit := _number_format(frame[name])):
            times[name] = unit
    values = normalise(frame, {name: kind for name, kind in kinds.items() if name not in times})
    read = {name: known_times(read_times(frame[name], written, repr(name))) for name, written in times.items()}
    values = pd.concat([values, pd.DataFrame(read, index=frame.index)], axis=1)
    odd = []
    for name in frame.columns:
        if times.get(name, "") is None and has_mixed_zones(frame[name]):
            odd.append(mixed_zones_note(name))
        bad = values[name].isna() & frame[name].notna()
        if name not in times and bad.any():
            what = f"{int(bad.sum()):,} of {len(frame):,} values of {name!r} are no {name_of(kinds[name])}"
            odd.append(f"{what}, such as {str(frame.loc[bad, name].iloc[0])[:60]!r}; these rows go to quarantine")
    return values[list(frame.columns)], times, ambiguous, odd, numbers


def _written_numbers(frame: pd.DataFrame, kinds: Mapping[str, Kind]) -> dict[str, Amount]:
    """Return how the numbers of columns of text are written, from up to 10,000 texts of each."""
    numbers = {}
    for name, kind in kinds.items():
        present = frame[name].dropna() if kind == "text" else frame[name].iloc[:0]
        some = present.iloc[:: max(1, len(present) // 10_000)]
        if (written := amount_kind(list(map(str, some.tolist())))) is not None:
            numbers[name] = written
    return numbers


def _time_formats(column: pd.Series) -> list[str]:
    """Return the formats that read the times of a text column, best first: an empty text for ISO 8601.

    Several formats read days up to the twelfth. The best one is that by which the rows are in order.
    """
    texts = column.dropna().astype("str").str.strip()
    if texts.empty or not texts.iloc[:100].str.contains(r"\d").all():
        return []
    some = texts.drop_duplicates().head(20_000)
    if some.str.match(r"\d{4}-\d\d-\d\d").mean() > 0.95 and _reads(some, "ISO8601"):
        return [""]
    reading = [known for known in _TIME_FORMATS if all(_reads(some.head(rows), known) for rows in (20, 200, len(some)))]
    if len(reading) < 2:
        return reading
    some = texts.head(20_000)
    return sorted(reading, key=lambda known: disorder(pd.to_datetime(some, format=known, errors="coerce"))[0])


def disorder(times: pd.Series) -> tuple[float, int]:
    """Return how far times are from being in order, forwards or backwards.

    Args:
        times: Shape (rows,).

    Returns:
        The share of steps from row to row that go the other way, and the number of steps.
    """
    steps = times.diff().dt.total_seconds().dropna()
    moving = steps[steps != 0]
    return (float(min((moving < 0).mean(), (moving > 0).mean())) if len(moving) else 0.0), len(moving)


def _reads(texts: pd.Series, written: str) -> bool:
    return bool(pd.to_datetime(texts, format=written, errors="coerce", utc=True).notna().mean() > 0.99)


def _number_format(column: pd.Series) -> str | None:
    """Return the format of numbers that are times: seconds to nanoseconds of 2000 to 2050, or days such as 240131."""
    values = pd.to_numeric(column, errors="coerce").dropna().astype("float64")
    if values.empty:
        return None
    low, high = float(values.quantile(0.01)), float(values.quantile(0.99))
    for name, unit in (("epoch_s", 1.0), ("epoch_ms", 1e3), ("epoch_us", 1e6), ("epoch_ns", 1e9)):
        if 946_684_800 * unit <= low and high <= 2_524_608_000 * unit:
            return name
    if not has_whole_numbers(values):
        return None
    digits = values.drop_duplicates().head(20_000).map("{:.0f}".format)
    for written, length in (("%Y%m%d", 8), ("%y%m%d", 6)):
        if (digits.str.len() == length).all() and _reads(digits, written):
            return written
    return None


def distinct_share(frame: pd.DataFrame, columns: Sequence[str]) -> float:
    """Return the share of rows with unique values in the columns."""
    return float(1 - frame.duplicated(list(columns)).mean())


def spread(times: pd.Series) -> pd.Timedelta:
    """Return the span from the first to the last time."""
    present = times.dropna()
    return present.max() - present.min() if len(present) else pd.Timedelta(0)


def has_whole_numbers(column: pd.Series) -> bool:
    """Return whether all values of a numeric column are whole numbers."""
    values = column.dropna().to_numpy(dtype=np.float64)
    return bool(len(values) and np.all(values == np.floor(values)))
