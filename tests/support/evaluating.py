"""A challenger and a champion that are evaluated on a hold-out."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from support.training import UNTIL, a_spec, data_of, rows_of

from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.data.split import TrainingData
from everfit.tasks.data.validate import Validation
from everfit.tasks.evaluation.evaluate import evaluate
from everfit.tasks.evaluation.measurement import Incumbent
from everfit.tasks.gate.evidence import Evidence
from everfit.tasks.training.results import Fitted, read_model
from everfit.tasks.training.train import fit_on

PASSED = Validation(passed=True, rows=900, bad_rows=0, outcomes=(), reasons=(), suite_inferred=False)


def known_since(rows: pd.DataFrame, since: Any) -> int:
    return int(((rows["at"] >= since) & (rows["known_at"] <= UNTIL)).sum())


def challenger_of(data: TrainingData) -> Fitted:
    path = data.workspace.turn_file("small", "t", "challenger.skops")
    return fit_on(data, data.spec.training.candidates[0], data.split.training, path)


def champion_of(data: TrainingData, until: Any, threshold: float | None = None) -> Incumbent:
    path = data.workspace.turn_file("small", "t", "champion.skops")
    fitted = fit_on(data, data.spec.training.candidates[0], Window(until=until), path)
    version = ModelVersion(model="small", version=1, run_id="r", trained_until=until)
    return Incumbent(version, read_model(fitted, data.workspace), threshold)


def evidence_of(tmp_path: Path, task: str = "binary", rows: pd.DataFrame | None = None, **parts: Any) -> Evidence:
    data = data_of(a_spec(task, **parts), rows_of(task) if rows is None else rows, tmp_path)
    champion = champion_of(data, UNTIL - timedelta(days=30))
    return evaluate(data, challenger_of(data), champion, PASSED)
