"""A rehearsal's matrix, "the model fitted before each window, used in each later one", against the bare library calls.

Usage: bench_rehearsal.py [WINDOWS ROWS]; without arguments the flights in 12 windows of 28 days. The bare script fits
the same candidate on the same rows and predicts the same windows, and gets nearly the same figures. The preparation
(ingest, validation, the dataset) is counted beside. Each is measured in a process of its own, three times in turn.

With arguments such as `100 100000` rows are made up, a model learns from the last ten windows, and the time and the
memory by window are printed: the preparation and the fits of a window should take the same time late as early, and the
memory should stop growing.

Not in it: the lives of the spec and of its variations, in which all flows of production run. `everfit rehearse` prints
their processor time as the column `processor`. With `lives` as the first argument the whole command is measured.
"""

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ |= {"DO_NOT_TRACK": "1", "GX_ANALYTICS_ENABLED": "false"}
RUNS = 3
SINCE, EVERY, WINDOWS = datetime(2013, 1, 30, tzinfo=UTC), timedelta(days=28), 12
LEARNT_FROM = 10
"""Windows of made-up rows that a model learns from."""


def flights(folder: Path) -> Path:
    """The spec that points at the flights; they are made once."""
    from everfit.deployments.demo.data import prepare

    prepare(folder / "flights")
    source = (Path(__file__).parents[2] / "deployments/models/flight-delays.yaml").read_text()
    spec = folder / "flight-delays.yaml"
    spec.write_text(re.sub(r"path: .*", f"path: {folder}/flights/*.parquet", source))
    return spec


def made_up(folder: Path, windows: int, rows: int) -> Path:
    """A spec and its rows: one file for each window, whose labels follow a rule that slowly turns."""
    import numpy as np
    import pandas as pd

    (folder / "rows").mkdir()
    for window in range(windows + LEARNT_FROM):
        random = np.random.default_rng(window)
        start = SINCE + (window - LEARNT_FROM) * EVERY
        at = pd.Timestamp(start) + pd.to_timedelta(np.sort(random.uniform(0, EVERY.total_seconds(), rows)), unit="s")
        frame = pd.DataFrame({"id": np.arange(rows) + window * rows, "at": at.as_unit("us")})
        values = random.normal(size=(rows, 8))
        turn = window / windows * 2
        logit = values[:, 0] * np.cos(turn) + values[:, 1] * np.sin(turn) + 0.3 * values[:, 2]
        frame[[f"x{number}" for number in range(8)]] = values
        frame["y"] = (random.uniform(size=rows) < 1 / (1 + np.exp(-logit))).astype(int)
        frame.to_parquet(folder / "rows" / f"{window:04}.parquet", index=False)
    spec = folder / "made-up.yaml"
    spec.write_text(
        f"name: made-up\ntask: binary\nsource: {{kind: files, path: {folder}/rows/*.parquet}}\n"
        "columns: {key: [id], event_time: at, target: y}\n"
        f"training: {{holdout: 28d, window: {LEARNT_FROM * EVERY.days}d}}\n"
    )
    return spec


def plan_of(spec: Any, windows: int) -> Any:
    """The plan of windows that follow each other."""
    from everfit.tasks.rehearsal.plan import SPEC, RehearsalPlan, Rehearsed

    ends = tuple(SINCE + number * EVERY for number in range(windows + 1))
    return RehearsalPlan(model=spec.name, ends=ends, until=ends[-1], policies=(Rehearsed(name=SPEC),))


def labelled_rows(spec: Any, ends: tuple[datetime, ...], folder: Path) -> None:
    """The labelled rows of each window in a file, as the life of the spec leaves them behind."""
    import pyarrow.dataset as pds

    from everfit.tasks.rehearsal.measuring import LABEL

    time_column, target, until = spec.columns.event_time, spec.columns.target, ends[-1]
    source = pds.dataset(sorted(str(path) for path in Path(spec.source.path).parent.glob("*.parquet")))
    for place, (since, end) in enumerate(pairwise(ends)):
        inside = (pds.field(time_column) >= since) & (pds.field(time_column) < end)
        rows = source.to_table(filter=inside).to_pandas()
        known = rows[target].notna() & (rows[time_column] + spec.maturity <= until)
        if spec.columns.label_time is not None:
            known &= rows[spec.columns.label_time] <= until
        rows = rows[known].reset_index(drop=True)
        rows[LABEL] = rows.pop(target).astype(int).astype(str)
        rows.to_parquet(folder / f"{place}.parquet", index=False)


def everfit(spec_file: Path, windows: int, folder: Path, candidate: str) -> dict[str, Any]:
    """The matrix by everfit."""
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.rehearsal.matrix import fit_all, measure_all
    from everfit.tasks.training.results import Choice

    spec = load_spec(str(spec_file))
    plan = plan_of(spec, windows)
    (folder / "labelled").mkdir()
    labelled_rows(spec, plan.ends, folder / "labelled")
    began, marks, peaks = time.process_time(), [time.process_time()], [peak()]

    def mark() -> None:
        marks.append(time.process_time())
        peaks.append(peak())
        if len(peaks) % 10 == 1:
            seconds = marks[-1] - marks[-2]
            print(
                f"{len(peaks) - 1} fits: the last took {seconds:.2f} s with its preparation",
                file=sys.stderr,
                flush=True,
            )

    fits = fit_all(spec, plan, 0, Choice(candidate=candidate), folder / "matrix", mark)
    matrix = measure_all(spec, fits, folder / "labelled", folder / "matrix")
    assert not matrix.notes, matrix.notes
    whole = time.process_time() - began
    spent = [after - before for before, after in pairwise(marks)]
    return {
        "preparation": whole - sum(matrix.seconds) - matrix.predicting,
        "fits": sum(matrix.seconds),
        "predictions": matrix.predicting,
        "both": sum(matrix.seconds) + matrix.predicting,
        "quality": matrix.quality,
        "fits of a window": matrix.seconds,
        "preparation of a window": [one - fit for one, fit in zip(spent, matrix.seconds, strict=True)],
        "peaks": [*peaks[1:], peak()],
    }


def bare(spec_file: Path, windows: int, folder: Path, candidate: str) -> dict[str, Any]:
    """The same models fitted and used by scikit-learn alone."""
    import numpy as np
    import pandas as pd
    import pyarrow.dataset as pds
    from sklearn.metrics import roc_auc_score

    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.rehearsal.measuring import LABEL
    from everfit.tasks.training.pipelines import build_pipeline

    spec = load_spec(str(spec_file))
    ends, (event, target, label_time) = (
        plan_of(spec, windows).ends,
        (
            str(spec.columns.event_time),
            spec.columns.target,
            spec.columns.label_time,
        ),
    )
    (folder / "labelled").mkdir()
    labelled_rows(spec, ends, folder / "labelled")
    began = time.process_time()
    source = pds.dataset(sorted(str(path) for path in Path(spec.source.path).parent.glob("*.parquet")))
    rows = source.to_table().to_pandas().sort_values(event, ignore_index=True)
    features = list(spec.columns.features)
    for name in rows[features].select_dtypes("number"):
        rows[name] = rows[name].astype("float64")
    reading = time.process_time() - began
    models, fitting = [], 0.0
    for end in ends[:-1]:
        known = rows[target].notna() & (rows[event] + spec.maturity <= end) & (rows[label_time] <= end)
        learnt, began = rows[known], time.process_time()
        model = build_pipeline(candidate, spec.task, learnt[features], spec.training.seed)
        models.append(model.fit(learnt[features], learnt[target].astype("int64")))
        fitting += time.process_time() - began
    quality, began = np.full((windows, windows), np.nan), time.process_time()
    for window in range(windows):
        frame = pd.read_parquet(folder / "labelled" / f"{window}.parquet")
        truth = frame[LABEL].astype(int)
        for origin in range(window + 1):
            quality[origin, window] = roc_auc_score(truth, models[origin].predict_proba(frame[features])[:, 1])
    predicting = time.process_time() - began
    shown = [[None if np.isnan(value) else float(value) for value in row] for row in quality]
    parts = {"preparation": reading, "fits": fitting, "predictions": predicting, "both": fitting + predicting}
    return parts | {"quality": shown}


def peak() -> float:
    """The most memory of this process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measured(kind: str, spec: Path, windows: int, candidate: str) -> dict[str, Any]:
    """One of both, measured in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="everfit-bench-") as name:
        command = [sys.executable, __file__, "--measure", kind, str(spec), str(windows), name, candidate]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(folder: Path) -> None:
    """Measure both on the flights, in turn, and print processor seconds and their ratios."""
    import numpy as np

    spec, candidate, ratios = flights(folder), "hist_gradient_boosting", list[float]()
    for _ in range(RUNS):
        ours, theirs = (measured(kind, spec, WINDOWS, candidate) for kind in ("everfit", "bare"))
        ratios.append(ours["both"] / theirs["both"])
        for kind, side in (("everfit", ours), ("bare", theirs)):
            parts = ", ".join(f"{part} {side[part]:.1f}" for part in ("preparation", "fits", "predictions"))
            print(f"{WINDOWS} windows of flights, {kind}, processor seconds: {parts}", flush=True)
        pair = [np.array(side["quality"], dtype=float) for side in (ours, theirs)]
        np.testing.assert_allclose(*pair, atol=0.02)  # the order of equal times decides when boosting stops early
    print(f"fits and predictions of everfit to the bare ones: {statistics.median(ratios):.2f} (goal 1.2)")


def grow(folder: Path, windows: int, rows: int) -> None:
    """Measure many windows of made-up rows, and print how time and memory grow."""
    found = measured("everfit", made_up(folder, windows, rows), windows, "logistic_regression")
    parts = ", ".join(f"{part} {found[part]:.0f}" for part in ("preparation", "fits", "predictions"))
    print(f"{windows} windows of {rows:,} rows, processor seconds: {parts}")
    for first in range(0, windows, max(1, windows // 5)):
        span = slice(first, first + max(1, windows // 5))
        preparation, fits = (statistics.mean(found[f"{part} of a window"][span]) for part in ("preparation", "fits"))
        print(
            f"windows from {first}: preparation {preparation:.2f} s and fit {fits:.2f} s each, peak "
            f"{found['peaks'][span][-1]:.2f} GiB"
        )
    print(f"after all predictions: peak {found['peaks'][-1]:.2f} GiB")


def whole(folder: Path) -> None:
    """Measure the command with all default policies on the flights."""
    spec = flights(folder)
    command = [str(Path(sys.executable).with_name("everfit")), "rehearse", str(spec), "--json"]
    command += ["--from", f"{SINCE:%Y-%m-%d}", "--every", f"{EVERY.days}d"]
    began = time.perf_counter()
    env = os.environ | {"EVERFIT_WORKSPACE": str(folder / "workspace"), "PREFECT_HOME": str(folder / "prefect")}
    done = subprocess.run(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True, check=True)
    outcome = json.loads(done.stdout)
    for standing in outcome["standings"]:
        print(f"{standing['policy']}: {standing['turns']} turns, {standing['seconds'] or 0:.0f} processor seconds")
    print(f"all fits and predictions of the matrix: {outcome['fit_seconds']:.0f} processor seconds")
    print(f"the whole command: {time.perf_counter() - began:.0f} s")


def main() -> None:
    """Measure and print."""
    match sys.argv[1:]:
        case ["--measure", kind, spec, windows, place, candidate]:
            side = {"everfit": everfit, "bare": bare}[kind]
            print(json.dumps(side(Path(spec), int(windows), Path(place), candidate)))
            return
    with tempfile.TemporaryDirectory(prefix="everfit-bench-") as name:
        match sys.argv[1:]:
            case ["lives"]:
                whole(Path(name))
            case [windows, rows]:
                grow(Path(name), int(windows), int(rows))
            case _:
                compare(Path(name))


if __name__ == "__main__":
    main()
