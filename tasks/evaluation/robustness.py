"""Robustness: how many answers flip when the input changes a little, is missing, or is changed to mislead."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.tasks.core.records import Record
from everfit.tasks.evaluation.measurement import Measurement
from everfit.tasks.evaluation.scored_rows import ScoredRows
from everfit.tasks.gate.evidence import RobustnessEvidence
from everfit.tasks.statistics.weighted_metrics import predicted_class

NOISE = 0.1
"""Standard deviation of the noise, as a share of the feature's own between its 5 % and 95 % quantiles."""
ROWS = 500
_CLOSE = 0.1

Flags = npt.NDArray[np.bool_]


class Flips(Record):
    """Share of answers that change with one feature; of a regression by more than a tenth of the labels' deviation."""

    feature: str
    noise: float | None = Field(default=None, description="Under small noise; none for a feature of no numbers.")
    missing: float | None = Field(default=None, description="Without the value; no number if the model refuses.")
    adversarial: float | None = Field(default=None, description="Set to the worst of its plausible values.")


class Robustness(Record):
    """The effect of small changes of the input on the predictions."""

    rows: int = Field(description="The number of rows of the seeded sample that was tried.")
    features: tuple[Flips, ...]
    adversarial: float = Field(description="Share of rows for which some one feature's plausible value flips them.")

    def evidence(self) -> RobustnessEvidence:
        """The worst of what may happen without anybody's will: noise, or a missing feature."""
        shares = [
            (share, f"{kind} in {flips.feature}" if kind == "noise" else f"{flips.feature} missing")
            for flips in self.features
            for kind, share in (("noise", flips.noise), ("missing", flips.missing))
            if share is not None
        ]
        share, perturbation = max(shares, default=(None, ""), key=lambda pair: pair[0] or 0.0)
        return RobustnessEvidence(flip_share=share, perturbation=perturbation)


def robustness(scored: ScoredRows, seed: int, role: str = "challenger", rows: int = ROWS) -> Robustness:
    """Change a seeded sample of rows, one feature at a time, and count the answers that flip.

    If there are many features, only those that move the answers most are changed.

    Args:
        scored: The hold-out.
        seed: The seed of the sample and the noise.
        role: The model that is asked.
        rows: The largest number of rows in the sample.
    """
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(len(scored.truth))[:rows])
    sample = scored.rows.iloc[chosen].reset_index(drop=True)
    base, spread = scored.scores[role][chosen], float(scored.truth.std())
    names = scored.influential(role, seed)
    changes = [
        (name, kind, values) for name in names for kind, values in _changes(scored.rows[name], sample[name], random)
    ]
    flips: dict[str, dict[str, Flags]] = {name: {} for name in names}
    for (name, kind, _), after in zip(changes, _answers(scored, role, sample, changes), strict=True):
        if after is not None:
            now = _flipped(scored, base, after, spread)
            flips[name][kind] = now | flips[name].get(kind, np.zeros_like(now))
    never = np.zeros(len(sample), dtype=np.bool_)
    misled = np.any([never, *(kinds["adversarial"] for kinds in flips.values() if "adversarial" in kinds)], axis=0)
    return Robustness(
        rows=len(sample),
        features=tuple(
            Flips.model_validate({"feature": name, **{kind: float(now.mean()) for kind, now in kinds.items()}})
            for name, kinds in flips.items()
        ),
        adversarial=float(misled.mean()),
    )


def _answers(
    scored: ScoredRows, role: str, sample: pd.DataFrame, changes: list[tuple[str, str, pd.Series]]
) -> "list[npt.NDArray[np.float64] | None]":
    """Yield the model's scores after each change, or nothing for a change that it refuses."""
    pairs = [(name, values) for name, _, values in changes]
    try:
        return list(scored.scores_of_changes(role, sample, pairs))
    except (ValueError, TypeError):  # it has never seen one of the features missing, and says so: ask one by one
        answers: list[npt.NDArray[np.float64] | None] = []
        for pair in pairs:
            try:
                answers += scored.scores_of_changes(role, sample, [pair])
            except (ValueError, TypeError):
                answers.append(None)
        return answers


def _changes(column: pd.Series, sample: pd.Series, random: np.random.Generator) -> Iterator[tuple[str, pd.Series]]:
    if pd.api.types.is_bool_dtype(column.dtype):
        yield "adversarial", ~sample.astype(bool)
        return
    if not pd.api.types.is_numeric_dtype(column.dtype):
        yield "missing", pd.Series([None] * len(sample), dtype=sample.dtype)
        for value in column.value_counts().index[:3]:
            yield "adversarial", pd.Series([value] * len(sample), dtype=sample.dtype)
        return
    values = sample.to_numpy(dtype=np.float64, na_value=np.nan)
    known = column.to_numpy(dtype=np.float64, na_value=np.nan)
    low, high = np.quantile(known[np.isfinite(known)], [0.05, 0.95]) if np.isfinite(known).any() else (0.0, 0.0)
    # Between those quantiles a normal variable has 3.3 of its standard deviations.
    yield "noise", pd.Series(values + random.normal(size=values.size) * NOISE * (high - low) / 3.3)
    yield "missing", pd.Series(np.full(values.size, np.nan))
    for value in (low, high):
        yield "adversarial", pd.Series(np.full(values.size, value))


def _flipped(
    scored: ScoredRows, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64], spread: float
) -> npt.NDArray[np.bool_]:
    if scored.task == "regression":
        return np.asarray(np.abs(after - before) > _CLOSE * spread)
    return np.asarray(predicted_class(before) != predicted_class(after))


def measure(measurement: Measurement) -> RobustnessEvidence | None:
    """Measure the share of predictions that flip under small changes, where the gate asks for it."""
    spec = measurement.spec
    if spec.gate.robustness is None or not measurement.has_classes:
        return None
    return robustness(measurement.scored.newest(), spec.training.seed).evidence()
