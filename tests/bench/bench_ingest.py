"""Data in: seconds and memory of ingest, validation and acceptance, against the bare library calls.

Usage: bench_ingest.py [MILLIONS OF ROWS …]; without arguments 1 and 2. Each is measured in a process of its own, which
has done the same with a thousand rows before: so neither side's imports count. Up to two million rows the bare calls
are measured too, three times in turn with everfit.
"""

import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

os.environ |= {"DO_NOT_TRACK": "1", "GX_ANALYTICS_ENABLED": "false"}
COLUMNS, UNTIL = 20, datetime(2024, 12, 31, tzinfo=UTC)


def make(path: Path, millions: float) -> None:
    """Rows of a year in time order, 20 columns, in row groups of 250,000."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, written, random = int(millions * 1e6), 0, np.random.default_rng(0)
    step = 365 * 86_400_000_000 // rows
    writer = None
    while written < rows:
        size = min(250_000, rows - written)
        number = np.arange(written, written + size)
        columns = {"id": number, "at": pa.array(1_704_067_200_000_000 + number * step, pa.timestamp("us", tz="UTC"))}
        columns |= {f"x{index}": random.normal(size=size) for index in range(12)}
        columns |= {f"c{index}": random.choice(["red", "green", "blue"], size) for index in range(5)}
        columns["y"] = random.integers(0, 2, size)
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
        written += size
    writer.close()


def suite() -> list[dict[str, object]]:
    """40 expectations."""
    results = [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": name}} for name in ("id", "at", "y")
    ]
    for index in range(12):
        results += [
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": f"x{index}"}},
            {
                "type": "expect_column_values_to_be_between",
                "kwargs": {"column": f"x{index}", "min_value": -9, "max_value": 9, "mostly": 0.95},
            },
        ]
    for index in range(5):
        values = ["red", "green", "blue"]
        results += [
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": f"c{index}", "mostly": 0.9}},
            {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": f"c{index}", "value_set": values}},
        ]
    results += [
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}},
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "y", "value_set": [0, 1]}},
        {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "x0", "min_value": -1, "max_value": 1}},
    ]
    return results


def everfit(path: Path, folder: Path) -> dict[str, float]:
    """The three steps of a turn."""
    from everfit.blocks.spec import ModelSpec
    from everfit.tasks.data.commit import commit_batch
    from everfit.tasks.data.ingest import ingest
    from everfit.tasks.data.validate import validate
    from everfit.tasks.storage.workspace import Workspace

    content = {
        "name": "bench",
        "task": "binary",
        "source": {"kind": "files", "path": str(path)},
        "columns": {"key": ["id"], "event_time": "at", "target": "y"},
        "expectations": {"suite": suite()},
    }
    spec, workspace = ModelSpec.model_validate(content), Workspace(str(folder / "workspace"))
    marks, spent = [time.perf_counter()], [time.process_time()]
    batch = ingest(spec, UNTIL, "bench", workspace)
    marks.append(time.perf_counter())
    validation = validate(spec, batch, workspace)
    marks.append(time.perf_counter())
    commit_batch(spec, batch, validation, workspace)
    marks.append(time.perf_counter())
    spent.append(time.process_time())
    assert validation.passed, validation.reasons
    assert validation.accepted == batch.read
    steps = dict(zip(("ingest", "validate", "accept"), (b - a for a, b in itertools.pairwise(marks)), strict=True))
    return steps | {"seconds": marks[-1] - marks[0], "cpu_seconds": spent[1] - spent[0]}


def one_day(folder: Path) -> dict[str, float]:
    """The share of the time that reading all takes in which one day is read."""
    from datetime import timedelta

    from everfit.tasks.core.records import Window
    from everfit.tasks.storage.workspace import Workspace

    table = Workspace(str(folder / "workspace")).table("bench", "dataset")
    since = datetime(2024, 6, 1, tzinfo=UTC)
    started = time.perf_counter()
    table.read(Window(since=since, until=since + timedelta(days=1)), "at")
    day = time.perf_counter() - started
    started = time.perf_counter()
    for _ in table.batches():
        pass
    return {"day_share": day / (time.perf_counter() - started)}


def bare(path: Path, folder: Path) -> dict[str, float]:
    """Read with pyarrow, validate once with Great Expectations on pandas, write once with deltalake."""
    import great_expectations as gx
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from deltalake import write_deltalake
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    started, spent = time.perf_counter(), time.process_time()
    table = pq.read_table(path)
    frame = table.to_pandas()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("bench").add_dataframe_asset("batch")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    expectations = [ExpectationConfiguration(type=item["type"], kwargs=item["kwargs"]) for item in suite()]
    batch.validate(gx.ExpectationSuite(name="bench", expectations=expectations))
    table = table.append_column("_day", pc.cast(pc.floor_temporal(table["at"], unit="day"), pa.date32()))
    write_deltalake(str(folder / "bare"), table, partition_by=["_day"])
    return {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - spent}


def measure(kind: str, path: Path, folder: Path) -> dict[str, float]:
    """One of both, after a small one of its kind."""
    which = {"everfit": everfit, "bare": bare}[kind]
    with tempfile.TemporaryDirectory() as name:
        make(Path(name) / "few.parquet", 0.001)
        which(Path(name) / "few.parquet", Path(name))
    result = which(path, folder)
    result["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return result | (one_day(folder) if kind == "everfit" else {})


def main() -> None:
    """Measure, each in a process of its own, and print."""
    if len(sys.argv) > 3 and sys.argv[1] == "--measure":
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))))
        return
    for millions in [float(item) for item in sys.argv[1:]] or [1.0, 2.0]:
        with tempfile.TemporaryDirectory() as name:
            make(Path(name) / "rows.parquet", millions)
            ratios: list[tuple[float, float]] = []
            for _ in range(3 if millions <= 2 else 1):
                ours = measured("everfit", millions, Path(name))
                if millions <= 2:
                    theirs = measured("bare", millions, Path(name))
                    ratios.append((ours["seconds"] / theirs["seconds"], ours["cpu_seconds"] / theirs["cpu_seconds"]))
            if ratios:
                wall, cpu = (statistics.median(item) for item in zip(*ratios, strict=True))
                print(f"{millions:g} million rows, everfit to bare: seconds {wall:.2f}, processor seconds {cpu:.2f}")


def measured(kind: str, millions: float, folder: Path) -> dict[str, float]:
    """One of both, measured in a process of its own and printed."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        command = [sys.executable, __file__, "--measure", kind, str(folder / "rows.parquet"), name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    output = ", ".join(f"{key} {value:.3g}" for key, value in result.items())
    print(f"{millions:g} million rows, {kind}: {output}", flush=True)
    return result


if __name__ == "__main__":
    main()
