"""Convert a model, compare it with the fitted one on the hold-out, and accept it only if both predict the same."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from everfit.blocks.conversion import ConversionPolicy
from everfit.blocks.errors import EverfitError
from everfit.tasks.core.records import Record
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation.scored_rows import score_rows
from everfit.tasks.gate.evidence import ConversionEvidence
from everfit.tasks.models.onnx_conversion import to_onnx
from everfit.tasks.models.onnx_model import read_onnx
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.training.results import Fitted, read_model

if TYPE_CHECKING:
    from everfit.tasks.evaluation.scored_rows import ScoredRows

ONNX = "onnx"

_ROWS = 50_000
"""The largest number of hold-out rows for the comparison."""
_UNUSUAL_ROWS = 20
_UNSEEN = "a category that nobody has seen"


class Conversion(Record):
    """The result of converting a model; the fitted model is kept in any case."""

    evidence: ConversionEvidence
    path: str | None = Field(default=None, description="The converted model in the workspace, where it was accepted.")


def convert(data: TrainingData, fitted: Fitted, path: str) -> Conversion:
    """Convert a fitted model to ONNX, and keep that at `path` if it answers as the fitted one.

    A model that can't be converted is no error: the result has the reason, and the fitted model is used.

    Args:
        data: The turn's rows; its spec says how near is near enough.
        fitted: The model.
        path: In the workspace.
    """
    spec, policy = data.spec, data.spec.release.conversion
    rows = data.rows(data.split.holdout, "compare the converted model on").head(_ROWS)
    model, content = read_model(fitted, data.workspace), b""
    try:
        content = to_onnx(model, rows[list(fitted.features)])
        models: dict[str, Any] = {"fitted": model, "converted": read_onnx(content)}
        scored = score_rows(spec, rows, models)
        evidence = _compared(scored, spec.metric, policy, _apart(scored, _unusual(data, fitted, rows)))
    except EverfitError as error:
        evidence = ConversionEvidence(format=ONNX, accepted=False, problem=str(error))
    except Exception as error:  # noqa: BLE001 - ONNX Runtime may raise anything; the result has the reason
        evidence = ConversionEvidence(format=ONNX, accepted=False, problem=f"{type(error).__name__}: {error}"[:300])
    if not evidence.accepted:
        return Conversion(evidence=evidence)
    data.workspace.write(path, content)
    return Conversion(evidence=evidence, path=path)


def _unusual(data: TrainingData, fitted: Fitted, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows as may come one day: with a category that nobody has seen, and without each value that may be missing."""
    trained, some = data.training_rows(fitted.trained_on), rows.head(_UNUSUAL_ROWS)
    changed = []
    for name in fitted.features:
        if trained[name].isna().any():
            changed.append(some.assign(**{name: some[name].where(some[name].isna())}))
        if not pd.api.types.is_numeric_dtype(some[name].dtype):
            changed.append(some.assign(**{name: pd.Series(_UNSEEN, some.index).astype(some[name].dtype)}))
    return pd.concat(changed) if changed else rows.head(0)


def _apart(scored: "ScoredRows", unusual: pd.DataFrame) -> float:
    """The largest difference between the two models, on the hold-out and on what may come one day."""
    apart = [np.abs(scored.scores["fitted"] - scored.scores["converted"]).max()]
    if len(unusual):
        apart.append(np.abs(scored.scores_of("fitted", unusual) - scored.scores_of("converted", unusual)).max())
    scale = scored.scores["fitted"].std() or 1.0 if scored.task == "regression" else 1.0
    return float(max(apart) / scale)


def _compared(scored: "ScoredRows", name: str, policy: ConversionPolicy, difference: float) -> ConversionEvidence:
    fitted, converted = scored.scores["fitted"], scored.scores["converted"]
    measure = metric(name, scored.task)
    was = measure.score(scored.truth, fitted)
    loss = measure.gain(was, measure.score(scored.truth, converted)) / (abs(was) or 1.0)
    problem = ""
    if not difference <= policy.tolerance:
        off = "standard deviations" if scored.task == "regression" else "in probability"
        problem = f"predictions differ by up to {difference:.2g} {off}, and at most {policy.tolerance:g} is allowed"
    elif not loss <= policy.max_loss:
        problem = f"{name} loses {loss:.2%}, and at most {policy.max_loss:.2%} is allowed"
    return ConversionEvidence(
        format=ONNX, accepted=not problem, difference=difference, loss=loss, rows=len(scored.rows), problem=problem
    )
