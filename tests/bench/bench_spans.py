"""Bench: what a table of as many rows over a longer span of time costs, in processor time.

Bound: a table of 300 times as many days costs at most three times the time, whatever is done with it.
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa

from everfit.tasks.core.records import Window
from everfit.tasks.storage.periods import fitting_period
from everfit.tasks.storage.tables import DAY, KEY, Table

ROWS, COLUMNS, SPANS = 20_000, 20, (60, 18_000)
END = datetime(2024, 3, 1, tzinfo=UTC)
MOST = 3.0


def spent(act: Callable[[], object]) -> float:
    started = time.process_time()
    act()
    return time.process_time() - started


def measured(folder: Path, days: int) -> dict[str, float]:
    """Processor seconds of each way to use a table of so many days."""
    table = Table(str(folder / str(days)))
    at = pd.Timestamp(END) - pd.to_timedelta(np.linspace(0, days, ROWS), unit="D")
    values = {f"x{number}": np.random.default_rng(number).normal(size=ROWS) for number in range(COLUMNS)}
    rows = pd.DataFrame({**values, "at": at.as_unit("us"), KEY: np.arange(ROWS), DAY: at.date})
    days_of_rows, counts = np.unique(at.floor("D").to_numpy("datetime64[D]"), return_counts=True)
    period = fitting_period(days_of_rows.astype(np.int32), counts)  # as the first ingest chooses it
    table.create(pa.Table.from_pandas(rows, preserve_index=False).schema.remove_metadata(), period)
    week = Window(since=END - timedelta(days=7), until=END)
    return {
        "append": spent(lambda: table.append(rows, "rows")),
        "newest row": min(spent(lambda: table.newest("at")) for _ in range(3)),
        "last week": min(spent(lambda: table.read(week, "at")) for _ in range(3)),
        "all rows": min(spent(lambda: table.read(None, "at")) for _ in range(3)),
    }


if __name__ == "__main__":
    with TemporaryDirectory() as place:
        measured(Path(place), 2)  # imports
        short, long = (measured(Path(place), days) for days in SPANS)
    ratios = {name: long[name] / short[name] for name in short}
    for name, ratio in ratios.items():
        print(
            f"{name:<11} {SPANS[0]} days {short[name]:.2f} s, {SPANS[1]:,} days {long[name]:.2f} s: {ratio:.1f} times"
        )
    if max(ratios.values()) > MOST:
        sys.exit("over the bound")
