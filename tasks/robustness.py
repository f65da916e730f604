"""Robustness: how many answers flip when the input changes a little, is missing, or is changed to mislead."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.tasks.gate_evidence import RobustnessEvidence
from everfit.tasks.judging import Judged
from everfit.tasks.records import Record
from everfit.tasks.weighted_metrics import predicted_class

NOISE = 0.1
"""Standard deviation of the noise, as a share of the feature's own between its 5 % and 95 % quantiles."""
ROWS = 1_000
_CLOSE = 0.1


class Flips(Record):
    """Share of answers that change with one feature; of a regression by more than a tenth of the labels' deviation."""

    feature: str
    noise: float | None = Field(default=None, description="Under small noise; none for a feature of no numbers.")
    missing: float | None = Field(default=None, description="Without it; none where the model refuses.")
    adversarial: float | None = Field(default=None, description="Set to the worst of its plausible values.")


class Robustness(Record):
    """What changes of the input do to the answers."""

    rows: int = Field(description="Of the seeded sample that was tried.")
    features: tuple[Flips, ...]
    adversarial: float = Field(description="Share of rows for which some one feature's plausible value flips them.")

    def evidence(self) -> RobustnessEvidence:
        """The worst of what may happen without anybody's will: noise, or a missing feature."""
        found = [
            (share, f"{kind} in {flips.feature}" if kind == "noise" else f"{flips.feature} missing")
            for flips in self.features
            for kind, share in (("noise", flips.noise), ("missing", flips.missing))
            if share is not None
        ]
        share, perturbation = max(found, default=(None, ""), key=lambda each: each[0] or 0.0)
        return RobustnessEvidence(flip_share=share, perturbation=perturbation)


def robustness(judged: Judged, seed: int, who: str = "challenger", rows: int = ROWS) -> Robustness:
    """Change a seeded sample of rows, one feature at a time, and count the answers that flip.

    Args:
        judged: The hold-out.
        seed: Of the sample and the noise.
        who: The model that is asked.
        rows: Of the sample, at most.
    """
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(len(judged.truth))[:rows])
    sample = judged.rows.iloc[chosen].reset_index(drop=True)
    base, spread = judged.scores[who][chosen], float(judged.truth.std())
    ever = np.zeros(len(sample), dtype=np.bool_)
    found = []
    for name in judged.models[who].feature_names_in_:
        flips: dict[str, float] = {}
        misled = np.zeros(len(sample), dtype=np.bool_)
        for kind, changed in _changes(judged.rows[name], sample, name, random):
            try:
                now = _flipped(judged, base, judged.ask(who, changed), spread)
            except (ValueError, TypeError):  # the model has never seen it missing, and says so
                continue
            if kind == "adversarial":
                misled |= now
            else:
                flips[kind] = float(now.mean())
        ever |= misled
        found.append(Flips.model_validate({"feature": str(name), "adversarial": float(misled.mean()), **flips}))
    return Robustness(rows=len(sample), features=tuple(found), adversarial=float(ever.mean()))


def _changes(
    column: pd.Series, sample: pd.DataFrame, name: str, random: np.random.Generator
) -> Iterator[tuple[str, pd.DataFrame]]:
    if pd.api.types.is_bool_dtype(column.dtype):
        yield "adversarial", sample.assign(**{name: ~sample[name].astype(bool)})
        return
    if not pd.api.types.is_numeric_dtype(column.dtype):
        yield "missing", sample.assign(**{name: pd.Series([None] * len(sample), dtype=sample[name].dtype)})
        for value in column.value_counts().index[:3]:
            yield "adversarial", sample.assign(**{name: pd.Series([value] * len(sample), dtype=sample[name].dtype)})
        return
    values = sample[name].to_numpy(dtype=np.float64, na_value=np.nan)
    low, high = np.nanquantile(column.to_numpy(dtype=np.float64, na_value=np.nan), [0.05, 0.95])
    # Between those quantiles a normal variable has 3.3 of its standard deviations.
    noisy = values + random.normal(size=values.size) * NOISE * (high - low) / 3.3
    yield "noise", sample.assign(**{name: noisy})
    yield "missing", sample.assign(**{name: np.nan})
    for value in (low, high):
        yield "adversarial", sample.assign(**{name: value})


def _flipped(
    judged: Judged, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64], spread: float
) -> npt.NDArray[np.bool_]:
    if judged.task == "regression":
        return np.asarray(np.abs(after - before) > _CLOSE * spread)
    return np.asarray(predicted_class(before) != predicted_class(after))
