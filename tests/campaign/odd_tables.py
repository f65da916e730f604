"""Tables as people have them and worse: odd names, types, sizes, gaps, duplicates and orders, drawn from a seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

NAMES = (
    "id",
    "amount",
    "at",
    "x y",
    "a`b",
    "naïve",
    "select",
    "a.b",
    "[c]",
    "sum(x)",
    "Größe",
    "📦",
    'q"uote',
    "_own",
    "0",
    "true",
    "index",
    "label",
    "score",
    "y/z",
    "100%",
    "{x}",
    "a;b",
    "a=b",
    "'single'",
    "tab\tbed",
    "N" * 90,
    "None",
    "key",
    "prediction",
    "window",
    "rows",
    "#",
    "-",
    "*",
    "?",
    "<b>",
    "=1+1",
    "model_version",
    "event_time",
    "date",
    "closed_at",
)
START = pd.Timestamp("2024-01-01")


@dataclass(frozen=True)
class OddTable:
    """A table with its roles.

    Attributes:
        frame: The rows.
        form: Ending of the file.
        key: Columns of the key.
        event_time: Column of the event time, or None.
        target: Column of the label.
        task: Kind of prediction.
        named: Whether the roles are given to init.
    """

    frame: pd.DataFrame
    form: str
    key: tuple[str, ...]
    event_time: str | None
    target: str
    task: str
    named: bool

    def __str__(self) -> str:
        kinds = {name: str(kind) for name, kind in zip(self.frame.columns, self.frame.dtypes, strict=True)}
        return (
            f"{len(self.frame)} rows of {kinds} as {self.form}, key {self.key}, event time {self.event_time!r}, "
            f"{self.task} target {self.target!r}"
        )


def _texts(rows: int, chance: random.Random) -> list[Any]:
    odd = [
        "",
        " ",
        "007",
        "NA",
        "ñ",
        "a\nb",
        "=1+1",
        "1,000",
        "TRUE",
        "x" * 500,
        "2024-01-01",
        "1e5",
        "'",
        '"',
        "nan",
        "-",
    ]
    return [chance.choice(odd) for _ in range(rows)]


def _times(rows: int, chance: random.Random) -> list[pd.Timestamp]:
    return [START + pd.Timedelta(minutes=chance.randrange(90 * 24 * 60)) for _ in range(rows)]


COLUMNS: dict[str, Callable[[int, random.Random], Any]] = {
    "small": lambda rows, chance: [chance.randrange(5) for _ in range(rows)],
    "number": lambda rows, chance: [chance.gauss(0, 1) for _ in range(rows)],
    "large": lambda rows, chance: [chance.choice([2**53 + 1, 2**63 - 1, -(2**63), 7]) for _ in range(rows)],
    "extreme": lambda rows, chance: [chance.choice([1e308, -1e308, 5e-324, -0.0, 1.0]) for _ in range(rows)],
    "infinite": lambda rows, chance: [chance.choice([float("inf"), 1.0, 2.0, float("nan")]) for _ in range(rows)],
    "boolean": lambda rows, chance: [chance.random() < 0.4 for _ in range(rows)],
    "maybe": lambda rows, chance: pd.array([chance.choice([True, False, None]) for _ in range(rows)], dtype="boolean"),
    "category": lambda rows, chance: pd.Categorical([chance.choice(["red", "blue", "grün"]) for _ in range(rows)]),
    "text": _texts,
    "prose": lambda rows, chance: [
        f"It was said {chance.random()} times, and then again and again" for _ in range(rows)
    ],
    "digits": lambda rows, chance: [f"{chance.randrange(10**6):06d}" for _ in range(rows)],
    "time": _times,
    "zoned": lambda rows, chance: pd.DatetimeIndex(_times(rows, chance)).tz_localize("Asia/Tokyo"),
    "written": lambda rows, chance: [at.strftime("%d.%m.%Y %H:%M") for at in _times(rows, chance)],
    "day": lambda rows, chance: [at.date() for at in _times(rows, chance)],
    "never": lambda rows, chance: [chance.choice(["9999-12-31", "2024-02-01", "0001-01-01"]) for _ in range(rows)],
    "duration": lambda rows, chance: pd.to_timedelta([chance.randrange(10**6) for _ in range(rows)], unit="s"),
    "nested": lambda rows, chance: [[chance.randrange(3)] * chance.randrange(3) for _ in range(rows)],
    "bytes": lambda rows, chance: [bytes([chance.randrange(256)]) for _ in range(rows)],
    "empty": lambda rows, _: [None] * rows,
    "constant": lambda rows, _: ["always"] * rows,
    "mixed": lambda rows, chance: [chance.choice(["a", "1", "2.5", "True", "2024-01-01"]) for _ in range(rows)],
}
TARGETS: dict[str, tuple[str, Callable[[int, random.Random], list[Any]]]] = {
    "yes and no": ("binary", lambda rows, chance: [chance.choice(["yes", "no"]) for _ in range(rows)]),
    "0 and 1": ("binary", lambda rows, chance: [int(chance.random() < 0.3) for _ in range(rows)]),
    "booleans": ("binary", lambda rows, chance: [chance.random() < 0.5 for _ in range(rows)]),
    "a rare class": ("binary", lambda rows, chance: [int(chance.random() < 0.02) for _ in range(rows)]),
    "one class": ("binary", lambda rows, _: [1] * rows),
    "three": ("multiclass", lambda rows, chance: [chance.choice(["a", "b", "c d"]) for _ in range(rows)]),
    "numbers": ("regression", lambda rows, chance: [chance.gauss(5, 2) for _ in range(rows)]),
    "a constant": ("regression", lambda rows, _: [3.5] * rows),
    "texts": ("multiclass", _texts),
}


@st.composite
def tables(draw: st.DrawFn) -> OddTable:
    """Draw a table."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    rows = draw(st.sampled_from([0, 1, 2, 7, 40, 400, 400, 900]))
    names = chance.sample(NAMES, draw(st.integers(1, 6)) + 3)
    key, event_time, target, *others = names
    task, labels = TARGETS[draw(st.sampled_from(sorted(TARGETS)))]
    columns: dict[str, Any] = {
        key: draw(st.sampled_from(["small", "digits", "text", "unique", "unique", "unique", "unique"])),
        event_time: draw(st.sampled_from(["time", "zoned", "day", "time", "time", "written", "never"])),
    }
    columns |= {name: draw(st.sampled_from(sorted(COLUMNS))) for name in others}
    frame = pd.DataFrame(
        {
            name: pd.Series(np.arange(rows) if kind == "unique" else COLUMNS[kind](rows, chance))
            for name, kind in columns.items()
        }
    )
    frame[target] = pd.Series(labels(rows, chance), dtype=object).infer_objects()
    if rows and draw(st.booleans()):
        holed = draw(st.sampled_from(sorted(frame.columns)))
        frame[holed] = frame[holed].astype(object).where(pd.Series([chance.random() > 0.2 for _ in range(rows)]), None)
    if draw(st.booleans()):
        frame = pd.concat([frame, frame.head(5)], ignore_index=True)
    return OddTable(
        frame=frame.sample(frac=1, random_state=chance.randrange(2**31)).reset_index(drop=True),
        form=draw(st.sampled_from(["csv", "csv", "parquet", "jsonl"])),
        key=(key,) if draw(st.integers(0, 3)) else (),
        event_time=event_time if draw(st.integers(0, 4)) else None,
        target=target,
        task=task,
        named=draw(st.booleans()),
    )


def drawn(seed: int, count: int) -> list[OddTable]:
    """Return the tables of a seed."""
    found: list[OddTable] = []
    visit_drawn(seed, count, found.append)
    return found


def visit_drawn(seed: int, count: int, visit: Callable[[OddTable], object]) -> None:
    """Call a function with each table of a seed."""

    @seeded(seed)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(table=tables())
    def every(table: OddTable) -> None:
        visit(table)

    every()


def written(table: OddTable, folder: Path) -> Path | None:
    """Write a table into a folder, and return the file; None if its format can't hold the table."""
    path = folder / f"rows.{table.form}"
    try:
        if table.form == "csv":
            table.frame.to_csv(path, index=False)
        elif table.form == "parquet":
            table.frame.to_parquet(path, index=False)
        else:
            table.frame.to_json(path, orient="records", lines=True, date_format="iso")
    except Exception:  # noqa: BLE001 - of pandas or pyarrow, whose matter it is
        return None
    return path
