"""LightGBM and XGBoost by their Dask trainers on workers, against one process and against samples, on the same rows.

Usage: bench_boosters.py [MILLIONS OF ROWS] [WORKERS]; without arguments 0.2 and 2. It needs the extra `dask-boosters`.
Rows have 20 numbers, boosters 200 trees. Printed are seconds, processor seconds of all processes, the memory of the
largest process, and the AUC on the rows of the newest six of 60 days.
"""

import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pandas as pd
from bench_workers import Measure, measured
from sklearn.metrics import roc_auc_score
from support.training import SINCE, a_spec, data_of

from everfit.tasks.core.cluster import ADDRESS, RUNNER
from everfit.tasks.data.split import TrainingData
from everfit.tasks.training.in_process import fit_in_memory
from everfit.tasks.training.search import Setting

PAIRS = {
    "lightgbm:LGBMClassifier": "lightgbm:DaskLGBMClassifier",
    "xgboost:XGBClassifier": "xgboost.dask:DaskXGBClassifier",
}
HELD = 0.05
"""The share of the rows that the flow's process holds where workers fit, and a sample to compare with."""


def table(rows: int) -> pd.DataFrame:
    """Rows over 60 days whose label hangs on numbers alone and in pairs."""
    random = np.random.default_rng(0)
    at = pd.Timestamp(SINCE) + pd.to_timedelta(np.sort(random.uniform(0, 60, rows)), unit="D")
    x = random.normal(size=(rows, 20))
    signal = np.tanh(x @ random.normal(size=(20, 4)) / 2).sum(axis=1) + np.sin(x[:, 0] * x[:, 1])
    frame = pd.DataFrame(x, columns=[f"f{number}" for number in range(20)])
    late = (at + pd.Timedelta("12h")).as_unit("us")
    return frame.assign(
        id=np.arange(rows),
        at=at.as_unit("us"),
        known_at=late,
        y=(random.uniform(size=rows) < 1 / (1 + np.exp(1.5 - signal))).astype(float),
    )


def chosen(candidate: str, sample: int | None) -> dict[str, object]:
    trees = {"n_estimators": 200} | ({"verbose": -1} if candidate.startswith("lightgbm") else {})
    limited = {} if sample is None else {"sample": sample}
    return {"candidates": [candidate], "parameters": {candidate: trees}, "holdout": "6d", **limited}


def make(rows: int, folder: Path) -> TrainingData:
    return data_of(a_spec(training={"holdout": "6d"}), table(rows), folder)


def fit(data: TrainingData, candidate: str, sample: int | None, workers: int) -> tuple[Measure, int, float]:
    """Fit a candidate on the rows before the newest six days, reading included; on workers of its own if any."""
    data = replace(data, spec=a_spec(training=chosen(candidate, sample)))
    found: Measure = {}
    with ExitStack() as opened:
        if workers:
            from distributed import Client, LocalCluster

            cluster = LocalCluster(n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None)
            os.environ |= {RUNNER: "dask", ADDRESS: opened.enter_context(cluster).scheduler_address}
            with Client(cluster) as client:
                client.run(warm)
        with measured(found):
            model = fit_in_memory(data, candidate, data.split.training, Setting())
    later = data.rows(data.split.holdout, "judge on")
    answers = model.pipeline.predict_proba(later[data.features])[:, 1]
    return found, model.rows, float(roc_auc_score(later["y"], answers))


def warm() -> None:
    """Import what a worker needs, as one does that has worked before."""
    import_module("everfit.tasks.training.worker_fit")
    import_module("dask.array")


def main(rows: int, workers: int) -> None:
    if find_spec("lightgbm") is None or find_spec("xgboost") is None:
        print("LightGBM and XGBoost are not installed: pip install 'everfit[dask-boosters]'")
        return
    spawned = {"mp_context": multiprocessing.get_context("spawn"), "max_workers": 1, "max_tasks_per_child": 1}
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(**spawned) as one:  # type: ignore[arg-type]
        data = one.submit(make, rows, Path(folder)).result()
        held = round(HELD * rows)
        print(f"{rows:,} rows x 20, {workers} workers with a thread each, against one process with all cores")
        for candidate, trainer in PAIRS.items():
            for name, sample, spread in ((candidate, None, 0), (trainer, held, workers), (candidate, held, 0)):
                found, fitted, auc = one.submit(fit, data, name, sample, spread).result()
                print(
                    f"{name:<34} {fitted:>10,} rows {found['s']:7.1f} s {found['cpu']:7.1f} s of processor "
                    f"{found['MB']:7,.0f} MB  AUC {auc:.4f}",
                    flush=True,
                )


if __name__ == "__main__":
    given = sys.argv[1:]
    main(round(float(given[0] if given else 0.2) * 1e6), int(given[1]) if len(given) > 1 else 2)
