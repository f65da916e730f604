"""The serving check: a registered model is tried by the prediction service's own code, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.tasks.core.records import ModelVersion
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation.conversion import Conversion
from everfit.tasks.gate.evidence import ServingEvidence
from everfit.tasks.training.results import Fitted, read_model

_ROWS = 500
_TIMEOUT = 120
_PROGRAM = "everfit.infra.serving.check"

_ABSOLUTE, _RELATIVE = 1e-9, 1e-6
"""How far a prediction may be from that of training: sums come out a little otherwise in batches of another size."""


def measure_serving(
    data: TrainingData,
    version: ModelVersion,
    fitted: Fitted,
    conversion: Conversion | None = None,
    champion: ModelVersion | None = None,
) -> ServingEvidence:
    """Ask the registered version about rows of the hold-out, as the prediction service does.

    A failure is evidence, not an error: such a version is not released.

    Args:
        data: The turn's rows.
        version: In the registry.
        fitted: The pipeline that was registered, whose answers are the right ones.
        conversion: The converted model, which is served in its place if it was accepted.
        champion: The version that its capacity is compared with; None without one.
    """
    rows = data.rows(data.split.holdout, "try the prediction service on").head(_ROWS)[list(fitted.features)]
    with TemporaryDirectory(prefix="everfit-serving-") as folder:
        path = Path(folder) / "rows.parquet"
        rows.to_parquet(path)
        answer = _ask(version, path, champion)
    if "problem" in answer:
        return ServingEvidence(loaded=bool(answer.get("loaded")), same_predictions=False, problem=answer["problem"])
    right, near = _scores(read_model(fitted, data.workspace), rows), _ABSOLUTE
    if conversion is not None and conversion.path is not None:
        near = data.spec.release.conversion.tolerance * (1.0 if right.ndim > 1 else right.std() or 1.0)
    problem = _difference(np.asarray(answer["scores"], dtype=np.float64), right, near)
    return ServingEvidence(
        loaded=True,
        same_predictions=not problem,
        problem=problem,
        **{name: answer[name] for name in ("p99_ms", "size_mb", "memory_mb")},
        **_capacity(answer),
    )


def _capacity(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the measured capacity of the service."""
    found: dict[str, Any] = {"capacity_problem": answer.get("capacity_problem", "")}
    for name, prefix in (("challenger", ""), ("champion", "champion_")):
        if measured := answer.get("capacity", {}).get(name):
            found[f"{prefix}requests_per_second"] = measured["requests_per_second"]
            found[f"{prefix}requests_p99_ms"] = measured["p99_ms"]
    return found


def _ask(version: ModelVersion, rows: Path, champion: ModelVersion | None) -> dict[str, Any]:
    command = [sys.executable, "-m", _PROGRAM, version.canonical_json(), str(rows)]
    command += [] if champion is None else [champion.canonical_json()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT)  # noqa: S603
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"problem": f"it was not done with {_ROWS} rows within {_TIMEOUT} s"}
    except (ValueError, IndexError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return {"problem": f"its process ended with code {done.returncode}: {last}"}
    return dict(answer)


def _scores(model: Any, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return the model's scores in this process; shape (rows,) or (rows, classes)."""
    return np.asarray(model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows), np.float64)


def _difference(served: npt.NDArray[np.float64], trained: npt.NDArray[np.float64], near: float) -> str:
    """How the service's answers differ from those of training, in words; nothing when they don't."""
    if served.shape != trained.shape:
        return f"it answers with the shape {served.shape}, and in training it was {trained.shape}"
    differs = ~np.isclose(served, trained, rtol=_RELATIVE, atol=near)
    rows = int((differs.any(axis=1) if differs.ndim > 1 else differs).sum())
    if not rows:
        return ""
    return f"{rows:,} of {len(served):,} predictions differ, by up to {np.abs(served - trained).max():.3g}"
