"""Simulated worlds in which a loss has a known cause, as the evidence of a diagnosis."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from everfit.blocks.metrics import TaskKind
from everfit.tasks.core.loss_diagnosis import RowLoss
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence, LabelledRows, row_losses

ROWS = 2_000
CARRIERS = np.array(["AA", "DL", "UA", "WN"])


def columns(random: np.random.Generator, rows: int, wn: float = 0.15, far: float = 0.0) -> pd.DataFrame:
    """Rows of mixed columns; WN's are hard, and `far` of them come from a place that is new."""
    shares = [(1 - wn) / 3] * 3 + [wn]
    frame = pd.DataFrame(
        {
            "hour": random.integers(0, 24, rows).astype(float),
            "distance": random.lognormal(6, 0.5, rows),
            "carrier": random.choice(CARRIERS, rows, p=shares),
        }
    )
    new = random.random(rows) < far
    frame.loc[new, "carrier"] = "ZZ"
    frame.loc[new, "distance"] = random.lognormal(8.5, 0.2, int(new.sum()))
    frame.loc[random.random(rows) < 0.05, "hour"] = np.nan
    return frame


def chance_of_one(frame: pd.DataFrame, turned: bool = False) -> np.ndarray:
    """The true probability of a late arrival; where the meaning has changed, late hours tell the opposite."""
    hour = frame["hour"].fillna(12).to_numpy()
    signal = np.where(hour > 12, 2.0, -2.0)
    signal = np.where((frame["carrier"] == "WN").to_numpy(), 0.0, signal)  # nobody can tell
    signal = np.where((frame["carrier"] == "ZZ").to_numpy(), -signal, signal)
    if turned:
        signal = np.where((frame["carrier"] == "UA").to_numpy(), -signal, signal)
    return 1 / (1 + np.exp(-signal))


def answered(frame: pd.DataFrame) -> np.ndarray:
    """What the champion says, which has never seen ZZ."""
    return chance_of_one(frame.assign(carrier=frame["carrier"].replace("ZZ", "AA")))


def binary(seed: int, *, wn: float = 0.15, far: float = 0.0, turned: bool = False) -> DiagnosisEvidence:
    random = np.random.default_rng(seed)
    old, new = columns(random, ROWS), columns(random, ROWS, wn, far)
    sides = []
    for frame, is_turned, days in ((old, False, 14), (new, turned, 7)):
        truth = random.random(len(frame)) < chance_of_one(frame, is_turned)
        losses = row_losses(truth, answered(frame), "brier")
        said = answered(frame)
        at = random.integers(0, days, len(frame)).astype(np.int64)
        sides.append(LabelledRows(frame, losses, at, truth=truth.astype(float), scores=said))
    return evidence_of(*sides, list(old))


def regression(seed: int, *, wn: float = 0.15, far: float = 0.0, turned: bool = False) -> DiagnosisEvidence:
    random = np.random.default_rng(seed)
    old, new = columns(random, ROWS), columns(random, ROWS, wn, far)
    sides = []
    for frame, is_turned in ((old, False), (new, turned)):
        hour, carrier = frame["hour"].fillna(12).to_numpy(), frame["carrier"].to_numpy()
        noise = np.where(carrier == "WN", 3.0, 1.0) * random.normal(size=len(frame))
        bias = np.where(carrier == "ZZ", 3.0, 0.0) + np.where((carrier == "UA") & is_turned, 2.0, 0.0)
        truth = hour + noise + bias
        sides.append(LabelledRows(frame, row_losses(truth, hour, "squared_error"), truth=truth, scores=hour))
    return evidence_of(*sides, list(old), row_loss="squared_error")


def multiclass(seed: int, *, wn: float = 0.15, far: float = 0.0, turned: bool = False) -> DiagnosisEvidence:
    random = np.random.default_rng(seed)
    old, new = columns(random, ROWS), columns(random, ROWS, wn, far)
    sides = []
    for frame, is_turned in ((old, False), (new, turned)):
        carrier = frame["carrier"].to_numpy()
        best = (frame["hour"].fillna(12).to_numpy() // 8).astype(int)
        sure = np.where(carrier == "WN", 0.4, 0.85)
        said = np.full((len(frame), 3), ((1 - sure) / 2)[:, None])
        said[np.arange(len(frame)), best] = sure
        real = np.where((carrier == "ZZ") | ((carrier == "UA") & is_turned), (best + 1) % 3, best)
        other = (real + random.integers(1, 3, len(frame))) % 3
        truth = np.where(random.random(len(frame)) < sure, real, other)
        losses = row_losses(truth, said, "log_loss")
        sides.append(LabelledRows(frame, losses, truth=truth.astype(float), scores=said))
    return evidence_of(*sides, list(old), row_loss="log_loss")


def evidence_of(
    reference: LabelledRows, window: LabelledRows, names: list[str], row_loss: RowLoss = "brier"
) -> DiagnosisEvidence:
    return DiagnosisEvidence.sampled(reference, window, names, row_loss=row_loss)


World = Callable[..., DiagnosisEvidence]
TASKS: dict[World, TaskKind] = {binary: "binary", regression: "regression", multiclass: "multiclass"}
WORLDS: tuple[World, ...] = (binary, regression, multiclass)
CAUSES: dict[str, dict[str, float | bool]] = {
    "none": {},
    "harder_rows": {"wn": 0.5},
    "changed_meaning": {"turned": True},
    "unseen_rows": {"far": 0.25},
    "mixed": {"turned": True, "far": 0.25},
}
"""What differs in the window, by the cause that it makes."""
