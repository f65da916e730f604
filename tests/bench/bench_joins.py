"""Joins as of the event: processor time and memory of everfit's join, and of a plain `merge_asof` in memory.

Usage: bench_joins.py [MILLIONS OF ROWS TO JOIN]; without an argument 10, to a tenth of that many events. Each side runs
in a process of its own. Both begin with Parquet files that are sorted by time, and end with the joined columns.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CUSTOMERS = 100_000


def make(folder: Path, millions: float) -> None:
    """Rows of a year to join, and a tenth as many events."""
    import numpy as np
    import pandas as pd

    random, rows = np.random.default_rng(0), int(millions * 1e6)
    for name, count in (("known", rows), ("events", rows // 10)):
        at = np.sort(random.integers(1_704_067_200_000_000, 1_735_689_600_000_000, count))
        frame = pd.DataFrame({"customer": random.integers(0, CUSTOMERS, count), "at": at})
        frame["at"] = pd.to_datetime(frame["at"], unit="us", utc=True).astype("datetime64[us, UTC]")
        if name == "known":
            frame["a"], frame["b"] = random.normal(size=count), random.normal(size=count)
        frame.to_parquet(folder / f"{name}.parquet", index=False, row_group_size=250_000)


def joined_by_pandas(folder: Path) -> float:
    """The sum of a joined column by pandas alone."""
    import pandas as pd

    events, known = (pd.read_parquet(folder / f"{name}.parquet") for name in ("events", "known"))
    known["since"] = known["at"]
    joined = pd.merge_asof(events, known, on="at", by="customer", tolerance=pd.Timedelta(days=30))
    return float(joined["a"].sum())


def joined_by_everfit(folder: Path) -> float:
    """The sum of a joined column by everfit, which reads the joined source in chunks."""
    import pandas as pd

    from everfit.blocks.joins import Join
    from everfit.tasks.data.joined_rows import read_join

    events = pd.read_parquet(folder / "events.parquet")
    source = {"path": str(folder / "known.parquet")}
    join = Join.model_validate(
        {"source": source, "on": "customer", "as_of": "at", "within": "30d", "columns": ["a", "b"]}
    )
    with tempfile.TemporaryDirectory() as own:
        last = events["at"].max().to_pydatetime()
        rows = read_join(Join.model_validate(join), None, last, {"customer": "integer"}, Path(own))
        return float(rows.joined(events, "at")["a"].sum())


def measure(side: str, folder: Path) -> None:
    """Print the processor time, the largest memory and the sum of one side."""
    import pandas as pd  # noqa: F401 - not measured

    import everfit.tasks.data.joined_rows  # noqa: F401

    began = time.process_time()
    total = {"plain": joined_by_pandas, "everfit": joined_by_everfit}[side](folder)
    seconds, memory = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"side": side, "cpu_s": round(seconds, 1), "MB": round(memory), "sum": round(total, 6)}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        measure(sys.argv[2], Path(sys.argv[3]))
    else:
        with tempfile.TemporaryDirectory() as made:
            make(Path(made), float(sys.argv[1]) if sys.argv[1:] else 10)
            for each in ("plain", "everfit"):
                subprocess.run([sys.executable, __file__, "--side", each, made], check=True)
