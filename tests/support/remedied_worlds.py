"""Made-up worlds in which one remedy is known to be enough, and what a turn does in them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from support.training import a_spec, data_of

from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.data.cut import cut
from everfit.tasks.data.split import TrainingData
from everfit.tasks.data.validate import Validation
from everfit.tasks.evaluation.evaluate import evaluate
from everfit.tasks.evaluation.measurement import Incumbent
from everfit.tasks.evaluation.remedies import Treatment, treat
from everfit.tasks.evaluation.remedy_ladder import EarlierVersion, Patient
from everfit.tasks.gate import GateDecision, decide
from everfit.tasks.training.results import Choice, read_model
from everfit.tasks.training.train import fit_on

SINCE = datetime(2024, 1, 1, tzinfo=UTC)
MOVED = SINCE + timedelta(days=40)
UNTIL = SINCE + timedelta(days=80, hours=12)

PASSED = Validation(passed=True, rows=1, bad_rows=0, outcomes=(), reasons=(), suite_inferred=False)

EXPECTED = {
    "nothing": "nothing",
    "threshold": "threshold",
    "worth": "threshold",
    "prior": "prior_shift",
    "intercept": "intercept",
    "scale": "recalibration",
    "answers": "intercept",
    "concept": "refit",
}
"""By world, the smallest remedy that is enough."""


class Treated(NamedTuple):
    """What a turn does.

    Attributes:
        outcome: The remedy that would be released; `search` if one was not enough, `nothing` if none seems to help.
        treatment: What was tried.
        decision: Of the gate, if a remedy was judged.
        data: The rows.
    """

    outcome: str
    treatment: Treatment
    decision: GateDecision | None
    data: TrainingData


def world_rows(world: str, seed: int, rows: int = 4000) -> pd.DataFrame:
    """Return the rows of a world, whose second half has moved as its name says.

    Args:
        world: One of `EXPECTED`.
        seed: Of the rows.
        rows: Their number; half of them before the champion was trained.
    """
    random = np.random.default_rng(seed)
    at = pd.Timestamp(SINCE) + pd.to_timedelta(np.sort(random.uniform(0, 80, rows)), unit="D")
    moved = np.asarray(at >= pd.Timestamp(MOVED))
    x, other = random.normal(size=(2, rows))
    signal = 2.0 * x - 1.0 * other - 0.5
    if world == "concept":
        signal = np.where(moved, 2.0 * other - 1.0 * x - 0.5, signal)
    shift = {"intercept": 1.5, "threshold": -2.5, "worth": -2.5}.get(world, 0.0)
    signal = np.where(moved, {"scale": 0.35}.get(world, 1.0) * signal + shift, signal)
    y: Any = (random.random(rows) < 1 / (1 + np.exp(-signal))).astype(float)
    if world == "prior":  # the same rows of a class, of which one has become rarer
        kept = ~moved | (y == 0) | (random.random(rows) < 0.2)
        at, x, other, y, rows = at[kept], x[kept], other[kept], y[kept], int(kept.sum())
    if world == "answers":
        y = signal + random.normal(size=rows) + 0.5 * moved
    frame = pd.DataFrame({"id": np.arange(rows), "at": at.as_unit("us"), "x": x, "other": other, "y": y})
    return frame.assign(known_at=frame["at"] + pd.Timedelta("1h"))


def world_spec(world: str, **parts: Any) -> ModelSpec:
    """Return a spec for a world."""
    task = "regression" if world == "answers" else "binary"
    metric = {"answers": "rmse", "threshold": "f1", "worth": "roc_auc"}.get(world, "log_loss")
    worth = {"business_value": {"true_positive": 10, "false_positive": -10}} if world == "worth" else {}
    training = {"metric": metric, **worth, **parts.pop("training", {})}
    return a_spec(task, maturity="1h", **{"training": training, "retraining": {"remedies": True}, **parts})


def treated(
    world: str,
    seed: int,
    folder: Path,
    *,
    rows: int = 4000,
    searched_rows: int = 3000,
    former: tuple[EarlierVersion, ...] = (),
    **parts: Any,
) -> Treated:
    """Treat a champion that was trained before the world moved.

    Args:
        world: One of `EXPECTED`.
        seed: Of the rows.
        folder: An empty folder.
        rows: Their number.
        searched_rows: Rows that the champion's settings were searched on.
        former: Former champions.
        **parts: Of the spec.
    """
    spec = world_spec(world, **parts)
    data = data_of(spec, world_rows(world, seed, rows), folder, UNTIL)
    split = cut(spec, data.workspace.table(spec.name, "dataset"), UNTIL, MOVED)
    data = TrainingData(spec, data.snapshot, split, UNTIL, data.workspace)
    candidate = spec.training.candidates[0]
    champion = fit_on(data, candidate, Window(until=MOVED), data.workspace.turn_file("small", "c", "champion.skops"))
    version = ModelVersion(model="small", version=1, run_id="r", trained_until=MOVED)
    incumbent = Incumbent(version, read_model(champion, data.workspace), champion.threshold)
    mended = EarlierVersion(1, incumbent.model, Choice(candidate=candidate), champion.threshold)
    patient = Patient(mended, seen=MOVED, searched_rows=searched_rows, former=former)
    treatment = treat(data, patient, data.workspace.turn_file("small", "t", "remedy.skops"))
    assert treatment is not None
    if treatment.challenger is None:
        return Treated("nothing" if treatment.tried.chosen == "no change" else "search", treatment, None, data)
    evidence = evaluate(data, treatment.challenger, incumbent, PASSED).model_copy(update={"remedies": treatment.tried})
    decision = decide(evidence, spec.gate)
    return Treated(treatment.tried.chosen if decision.verdict == "promote" else "nothing", treatment, decision, data)
