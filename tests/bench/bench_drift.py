"""Speed and memory of drift statistics over all rows, against Evidently's preset on the same frames in the same run.

Run with `python tests/bench/bench_drift.py [--rows 500000] [--long]`; `--long` counts 20 million
rows chunk by chunk as well.
"""

import argparse
import json
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.drifting import drift_between

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.monitoring.report.text_descriptors import import_evidently
from everfit.tasks.monitoring.signals.drift import drift
from everfit.tasks.statistics.histograms import count_chunks
from everfit.tasks.statistics.profile import profile_frame

NUMBERS = [f"number_{position}" for position in range(15)]
LETTERS = [f"letter_{position}" for position in range(5)]
DRIFTED = {"number_0", "number_1", "number_2", "letter_0"}


def frame(rows: int, seed: int, *, drifted: bool = False) -> pd.DataFrame:
    """Rows with 15 numeric and 5 categorical columns, of which three and one have drifted."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {name: rng.normal(size=rows) for name in NUMBERS}
    columns |= {name: rng.choice(list("abcdefgh"), size=rows) for name in LETTERS}
    if drifted:
        columns["number_0"] += 0.6
        columns["number_1"] *= 1.6
        columns["number_2"] -= 0.5
        columns["letter_0"] = rng.choice(list("abcdefgh"), p=[0.4, 0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05], size=rows)
    return pd.DataFrame(columns)


def run(rows: int = 500_000) -> dict[str, Any]:
    """Time both on `rows` rows of either side; numbers are seconds, bytes and ratios."""
    reference, current, policy = frame(rows, 0), frame(rows, 1, drifted=True), MonitoringPolicy()
    frames = int(reference.memory_usage(deep=True).sum() + current.memory_usage(deep=True).sum())
    drift_between(reference.iloc[:1_000], current.iloc[:1_000], list(reference), policy)

    peak = _peak_above(lambda: drift_between(reference, current, list(reference), policy))
    names = list(reference)
    result = drift_between(reference, current, names, policy)
    profile = profile_frame(reference, names)
    ours = _median_seconds(lambda: drift_between(reference, current, names, policy))
    kept = _median_seconds(lambda: drift(profile, count_chunks([current], profile), policy))

    evidently = import_evidently()
    pinned = evidently.presets.DataDriftPreset(num_method="psi", cat_method="jensenshannon")
    actual, theirs = _evidently(evidently, pinned, reference, current)
    _, by_default = _evidently(evidently, evidently.presets.DataDriftPreset(), reference, current)
    scores = {
        metric["config"]["column"]: float(metric["value"])
        for metric in actual["metrics"]
        if "column" in metric.get("config", {})
    }

    return {
        "rows": rows,
        "seconds": round(ours, 3),
        "seconds_with_a_kept_profile": round(kept, 3),
        "evidently_seconds": round(theirs, 2),
        "evidently_default_methods_seconds": round(by_default, 2),
        "times_faster": round(theirs / ours, 1),
        "times_faster_with_a_kept_profile": round(theirs / kept, 1),
        "frames_bytes": frames,
        "peak_over_frames": None if peak is None else round((frames + peak) / frames, 2),
        "same_columns": {name for name, score in scores.items() if score >= 0.1}
        == set(result.drifted_columns)
        == DRIFTED,
    }


def run_long(rows: int = 20_000_000, chunk: int = 500_000) -> dict[str, Any]:
    """Count many rows chunk by chunk: seconds without making the chunks, and the largest memory."""
    reference = profile_frame(frame(chunk, 0), [*NUMBERS, *LETTERS])
    spent = 0.0

    def chunks() -> Iterator[pd.DataFrame]:
        nonlocal spent
        for seed in range(rows // chunk):
            start = time.perf_counter()
            made = frame(chunk, seed + 1)
            spent += time.perf_counter() - start
            yield made

    start = time.perf_counter()
    counts = count_chunks(chunks(), reference)
    result = drift(reference, counts, MonitoringPolicy())
    return {
        "rows": result.rows,
        "status": result.status,
        "seconds": round(time.perf_counter() - start - spent, 1),
        "largest_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _evidently(evidently: Any, preset: Any, reference: pd.DataFrame, current: pd.DataFrame) -> tuple[Any, float]:
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = evidently.Report([preset]).run(current, reference).dict()
    return results, time.perf_counter() - start


def _median_seconds(call: Callable[[], object], times: int = 3) -> float:
    seconds: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _peak_above(call: Callable[[], object]) -> int | None:
    """The most memory that a call held above what was held before, or None where the kernel doesn't tell."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = _memory("VmRSS")
    except OSError:
        return None
    call()
    return max(0, _memory("VmHWM") - before)


def _memory(key: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"the kernel doesn't tell {key!r}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000, help="rows of either side")
    parser.add_argument("--long", action="store_true", help="count 20 million rows as well")
    arguments = parser.parse_args()
    if arguments.long:
        print(json.dumps(run_long(), indent=2))
    print(json.dumps(run(arguments.rows), indent=2))
