"""Parts of a table on Dask workers: data in, batch scoring and monitoring, against one process in the same run.

Usage: bench_workers.py [MILLIONS OF ROWS] [WORKERS]; without arguments 1 and 2. Rows are those of `bench_ingest.py`,
and the model is a boosting of 100 trees. Printed are seconds, processor seconds of all processes, and the memory of
the largest process; then for each step how many times faster the workers are, and the share of processor time that
they add. Labels are always recorded in one process.
"""

import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from bench_ingest import UNTIL, make, suite

from everfit.tasks.core.spread import spread_by
from everfit.tasks.predictions.key_draw import MOST

if TYPE_CHECKING:
    import pandas as pd

Measure = dict[str, float]


def processor_seconds(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


@contextmanager
def measured(found: Measure) -> Iterator[None]:
    """Measure this process and its children, ten times a second; workers are there before and after."""
    here, peaks, done = psutil.Process(), list[float](), threading.Event()

    def family() -> dict[int, float]:
        used = {}
        for process in (here, *here.children(recursive=True)):
            try:
                used[process.pid] = processor_seconds(process)
                peaks.append(process.memory_info().rss / 2**20)
            except psutil.NoSuchProcess:
                continue
        return used

    def watch() -> None:
        while not done.wait(0.1):
            family()

    before, began, watcher = family(), time.perf_counter(), threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        found["s"], after = time.perf_counter() - began, family()
        done.set()
        watcher.join()
        found["cpu"] = sum(used - before.get(pid, 0.0) for pid, used in after.items())
        found["MB"] = max(peaks)


def model() -> Any:
    """A boosting of 12 numbers and 5 texts, fitted on the first rows."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    texts = [f"c{index}" for index in range(5)]
    encode = make_column_transformer(
        (OrdinalEncoder(), texts), remainder="passthrough", verbose_feature_names_out=False
    )
    return make_pipeline(encode, HistGradientBoostingClassifier(early_stopping=False, random_state=0))


def work(folder: Path, rows: Path, spread: Any) -> dict[str, Measure]:
    """Ingest, check and score all rows, into a workspace of its own."""
    import pyarrow.parquet as pq

    from everfit.blocks.spec import ModelSpec
    from everfit.tasks.core.records import Window
    from everfit.tasks.data.ingest import ingest
    from everfit.tasks.data.validate import validate
    from everfit.tasks.models.input_schema import InputSchema
    from everfit.tasks.scoring.batch_scoring import ScoringBatch, score_window
    from everfit.tasks.scoring.scorer import Scorer
    from everfit.tasks.sources import read_source
    from everfit.tasks.storage.workspace import Workspace

    shutil.rmtree(folder, ignore_errors=True)
    steps = ("ingest", "checks", "scoring", "labels", "look")
    workspace, found = Workspace(str(folder)), {step: Measure() for step in steps}
    spec = ModelSpec.model_validate(
        {
            "name": "wide",
            "task": "binary",
            "source": {"kind": "files", "path": str(rows)},
            "columns": {"key": ["id"], "event_time": "at", "target": "y"},
            "expectations": {"suite": suite()},
        }
    )
    with measured(found["ingest"]):
        batch = ingest(spec, UNTIL, "turn", workspace, spread=spread)
    with measured(found["checks"]):
        validation = validate(spec, batch, workspace, spread=spread)
    first = next(pq.ParquetFile(rows).iter_batches(20_000)).to_pandas()
    features = [name for name in first if name not in {"id", "at", "y"}]
    inputs = InputSchema.of_frame(first, task="binary", features=features, key=["id"], event_time="at", target="y")
    scorer = Scorer(model().fit(first[features], first["y"]), inputs, 1)

    def chunks() -> "Iterator[pd.DataFrame]":
        for chunk in read_source(spec.source, spec.own_columns, Window(until=UNTIL)):
            yield chunk.frame

    with measured(found["scoring"]):
        added, _ = score_window(
            scorer, chunks(), workspace.table("wide", "predictions"), ScoringBatch(Window(until=UNTIL)), spread=spread
        )
    assert validation.passed
    assert added == batch.read
    known = workspace.table("wide", "labels")
    with measured(found["labels"]):
        record(known, chunks())
    with measured(found["look"]), spread_by(spread):
        answers = look(workspace.table("wide", "predictions"), known, first[features])
    assert min(batch.read, MOST) * 0.9 < answers <= MOST * 1.1
    return found


def record(known: Any, chunks: "Iterator[pd.DataFrame]") -> None:
    """Record the label of each row, known an hour after its event."""
    import pandas as pd

    from everfit.tasks.predictions.label_index import LabelIndex
    from everfit.tasks.predictions.label_recording import record_labels
    from everfit.tasks.predictions.labels import label_rows
    from everfit.tasks.storage.row_hashes import row_keys

    index = LabelIndex()
    for rows in chunks:
        times = rows["at"] + pd.Timedelta("1h")
        record_labels(known, label_rows(row_keys(rows, ["id"]), rows["y"], times, "binary", "source"), None, index)


def look(log: Any, known: Any, reference: "pd.DataFrame") -> int:
    """Read all that a look reads of a window: counts and a sample, hours, labels, and a draw of the answers."""
    from datetime import timedelta

    from everfit.tasks.core.records import Window
    from everfit.tasks.core.spread import current_spread
    from everfit.tasks.monitoring.live_predictions import read_live_predictions
    from everfit.tasks.monitoring.signals.quality import realised
    from everfit.tasks.monitoring.signals.rhythm import read_rhythm
    from everfit.tasks.predictions.drawn_answers import labelled_times, unmatched
    from everfit.tasks.predictions.labelled_predictions import read_labelled_predictions
    from everfit.tasks.statistics.profile import profile_frame

    window = Window(since=UNTIL - timedelta(days=365), until=UNTIL)
    profile = profile_frame(reference, list(reference))
    live = read_live_predictions(log, window, "at", profile, 1, sample_rows=20_000, spread=current_spread())
    columns = list(reference)
    read_rhythm(log, None, window, "at", released=UNTIL - timedelta(days=365), columns=columns)
    labelled_times(log, known, window, "at", UNTIL, version=1)
    assert unmatched(known, log, UNTIL) == 0
    answers = read_labelled_predictions(
        log, known, window, "at", UNTIL, task="binary", classes=("0", "1"), version=1, most=MOST
    ).with_labels()
    quality = realised(answers.truth, answers.scores, "roc_auc", days=answers.days)
    print(f"{live.rows:,} rows, AUC {quality.value!r} on {quality.rows:,}", flush=True)
    return len(answers.rows)


def in_one_process(folder: Path, rows: Path) -> None:
    from everfit.tasks.core.spread import in_turn

    report("one process", work(folder, rows, in_turn), folder)


def on_workers(folder: Path, rows: Path, count: int) -> None:
    from distributed import Client, LocalCluster

    from everfit.tasks.steps.dask_spread import DaskSpread

    with (
        LocalCluster(
            n_workers=count, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(warm)
        report(f"{count} workers", work(folder, rows, DaskSpread(client)), folder)


def warm() -> None:
    """Import what a worker needs, as one that has run before."""
    import great_expectations  # noqa: F401
    import sklearn.ensemble  # noqa: F401

    import everfit.tasks.data.validate  # noqa: F401


def report(name: str, found: dict[str, Measure], folder: Path) -> None:
    folder.with_suffix(".json").write_text(json.dumps(found))
    for step, figures in found.items():
        print(f"{name:12} {step:8} {'  '.join(f'{value:8.1f} {unit}' for unit, value in figures.items())}", flush=True)


def compare(here: Path, there: Path) -> None:
    """Print how much faster the workers are, and what they cost."""
    alone, spread = (json.loads(folder.with_suffix(".json").read_text()) for folder in (here, there))
    for step, figures in alone.items():
        faster, more = figures["s"] / spread[step]["s"], spread[step]["cpu"] / figures["cpu"] - 1
        print(f"{step:8} {faster:5.2f} times faster on workers, {more:+.0%} processor time", flush=True)


def run(target: Callable[..., None], *given: Any) -> None:
    """Run in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=given)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


if __name__ == "__main__":
    os.environ |= {"DO_NOT_TRACK": "1", "GX_ANALYTICS_ENABLED": "false"}
    millions, count = float((sys.argv[1:] or ["1"])[0]), int((sys.argv[2:] or ["2"])[0])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "rows.parquet", millions)
        print(f"{millions:g} million rows", flush=True)
        run(in_one_process, folder / "here", folder / "rows.parquet")
        run(on_workers, folder / "spread", folder / "rows.parquet", count)
        compare(folder / "here", folder / "spread")
