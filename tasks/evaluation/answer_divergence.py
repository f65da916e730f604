"""How a challenger's answers differ from the champion's: by slice, and in the time that they take. Pure.

Slices are single columns' values, or quarters of numbers. They differ more than the other rows beyond chance, after
Holm's correction for the number of slices.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, FiniteFloat

from everfit.blocks.metrics import TaskKind
from everfit.tasks.core.records import Record
from everfit.tasks.evaluation.slices import groups
from everfit.tasks.gate.check import percent
from everfit.tasks.predictions.prediction_log import PREDICTION
from everfit.tasks.statistics.holm import holm

Floats = npt.NDArray[np.float64]

MOST_COLUMNS = 20
_LEAST_ROWS = 30
_MOST_ROWS = 50_000
_SHOWN = 3
_CONFIDENCE = 0.95


class SliceDivergence(Record):
    """How much the answers differ on one slice."""

    name: str
    rows: int
    divergence: FiniteFloat = Field(
        description="Share of the rows with another answer; of numbers, their mean distance as a share of the spread "
        "of the champion's answers."
    )
    elsewhere: FiniteFloat = Field(description="The same of all other rows.")
    certain: bool = Field(description="More than elsewhere, beyond chance.")


class ShadowLatency(Record):
    """Milliseconds that a request takes."""

    requests: int
    challenger_p50: FiniteFloat
    challenger_p95: FiniteFloat
    champion_p50: FiniteFloat
    champion_p95: FiniteFloat

    @property
    def summary(self) -> str:
        """The latency of both in one sentence."""
        return (
            f"a request takes the shadow {self.challenger_p50:.3g} ms at the median and {self.challenger_p95:.3g} ms "
            f"at p95, without waiting; the champion {self.champion_p50:.3g} and {self.champion_p95:.3g} ms, with "
            "waiting"
        )


def divergence_by_slice(
    new: pd.DataFrame, old: pd.DataFrame, columns: Sequence[str], task: TaskKind
) -> tuple[SliceDivergence, ...]:
    """Return the slices with the most different answers first; those that surely differ more come before the others.

    Args:
        new: The challenger's predictions; shape (rows, columns).
        old: The champion's predictions of the same rows, with the columns of the slices.
        columns: The columns whose values are the slices.
        task: The kind of prediction.
    """
    if len(old) > _MOST_ROWS:
        chosen = np.sort(np.random.default_rng(0).choice(len(old), _MOST_ROWS, replace=False))
        new, old = new.iloc[chosen].reset_index(drop=True), old.iloc[chosen].reset_index(drop=True)
    apart = _distances(new, old, task)
    found: dict[str, SliceDivergence] = {}
    chances: dict[str, float] = {}
    for column in columns:
        if column not in old:
            continue
        for value, rows in groups(old[column]):
            inside, outside = apart[rows], apart[~rows]
            if min(len(inside), len(outside)) < _LEAST_ROWS:
                continue
            name = f"{column} = {value}"
            chances[name] = _chance(inside, outside)
            found[name] = SliceDivergence(
                name=name, rows=len(inside), divergence=inside.mean(), elsewhere=outside.mean(), certain=False
            )
    certain = holm(chances, 1 - _CONFIDENCE)
    judged = [one.model_copy(update={"certain": certain[name]}) for name, one in found.items()]
    return tuple(sorted(judged, key=lambda one: (not one.certain, one.elsewhere - one.divergence)))


def latency_of(challenger: "pd.Series[float]", champion: "pd.Series[float]") -> ShadowLatency | None:
    """Return the latency of both; None where one has none, as in batch scoring.

    Args:
        challenger: Milliseconds of each request to the shadow.
        champion: Milliseconds of each request to the champion.
    """
    if challenger.empty or champion.empty:
        return None
    (own_half, own_most), (half, most) = (
        np.percentile(one.to_numpy(dtype=np.float64), [50, 95]) for one in (challenger, champion)
    )
    return ShadowLatency(
        requests=len(challenger),
        challenger_p50=own_half,
        challenger_p95=own_most,
        champion_p50=half,
        champion_p95=most,
    )


def divergence_texts(slices: Sequence[SliceDivergence]) -> list[str]:
    """Return the slices in which answers surely differ most, one sentence each.

    Args:
        slices: All slices.
    """
    return [
        f"they differ most where {one.name}: {percent(round(one.divergence, 3))} on {one.rows:,} rows, "
        f"{percent(round(one.elsewhere, 3))} elsewhere"
        for one in slices
        if one.certain
    ][:_SHOWN]


def _distances(new: pd.DataFrame, old: pd.DataFrame, task: TaskKind) -> Floats:
    """Return how far the answers to each row are apart; shape (rows,)."""
    if task != "regression":
        return np.asarray(new[PREDICTION] != old[PREDICTION], dtype=np.float64)
    one, other = (arm[PREDICTION].to_numpy(dtype=np.float64) for arm in (new, old))
    spread = float(other.std())
    return np.asarray(np.abs(one - other) / (spread if spread > 0 else 1.0))


def _chance(inside: Floats, outside: Floats) -> float:
    """Return the p-value of as large a difference of the means if the slice did not differ more."""
    from scipy.special import ndtr

    error = float(np.hypot(*(part.std() / np.sqrt(len(part)) for part in (inside, outside))))
    gap = float(inside.mean() - outside.mean())
    return float(ndtr(-gap / error)) if error > 0 else float(gap <= 0)
