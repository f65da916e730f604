"""The change of the loss in three parts: harder rows, rows that mean something else now, rows never seen.

After T. T. Cai, H. Namkoong and S. Yadlowsky, "Diagnosing Model Performance Under Distribution Shift", Operations
Research (2025). Losses are compared on the rows that both sides share; rows that the reference hardly has count apart.
The density of the method, pq / (p + q), gives little weight to what the window has more of. Here the reference's rows
count by the odds q / p, so that each part is what its rows in the window cost. The losses that trees expect of a row
are taken out first, so that an error of the classifier hardly matters.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from everfit.tasks.core.loss_diagnosis import Cause, LossPart, LossSplit, PartName
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence
from everfit.tasks.diagnosis.shared_rows import NEVER_SEEN, SharedRows
from everfit.tasks.statistics.holm import holm

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
_SHARE = 0.25
"""A part that is surely less than this share of the loss is no cause."""
_ALL_UNSEEN = 0.95
"""From this share of rows never seen on, there are too few shared rows to compare losses on."""


@dataclass(frozen=True)
class _Figure:
    """A figure of both sides, and by how much each row moves it, times the number of rows of its side.

    Attributes:
        value: The figure.
        of_old: The influences of the reference's rows; shape (n,).
        of_new: The influences of the window's rows; shape (m,).
    """

    value: float
    of_old: Floats
    of_new: Floats

    def __sub__(self, other: "_Figure") -> "_Figure":
        return _Figure(self.value - other.value, self.of_old - other.of_old, self.of_new - other.of_new)

    def times(self, factor: float) -> "_Figure":
        return _Figure(factor * self.value, factor * self.of_old, factor * self.of_new)

    def error(self, evidence: DiagnosisEvidence) -> float:
        """Return the standard error."""
        return float(np.hypot(evidence.reference.mean_error(self.of_old), evidence.window.mean_error(self.of_new)))


def split_loss(evidence: DiagnosisEvidence, shared: SharedRows) -> LossSplit:
    """Split the change of the loss, and name its cause if it is certain.

    Args:
        evidence: Both sides.
        shared: Which rows they share.
    """
    from scipy.special import ndtr

    change = _change_of_mean(evidence)
    figures = _parts_of(change, evidence, shared)
    error = change.error(evidence)
    is_certain = error > 0 and float(ndtr(-change.value / error)) <= 1 - CONFIDENCE
    parts = _measured(figures, evidence)
    causes = [
        part.name
        for part in parts
        if is_certain and part.certain and not _is_surely_small(figures[part.name], change, evidence)
    ]
    cause: Cause = "none" if not causes else causes[0] if len(causes) == 1 else "mixed"
    return LossSplit(
        before=float(evidence.reference.counted @ evidence.reference.losses),
        now=float(evidence.window.counted @ evidence.window.losses),
        standard_error=error,
        certain=is_certain,
        parts=parts,
        cause=cause,
        unseen_share=_unseen_share(evidence, shared),
    )


def _parts_of(change: _Figure, evidence: DiagnosisEvidence, shared: SharedRows) -> dict[PartName, _Figure]:
    """Return the parts, which sum up to the change."""
    unseen = _unseen_part(evidence, shared)
    if _unseen_share(evidence, shared) >= _ALL_UNSEEN:
        # Without shared rows the weights of unseen ones would be taken for theirs, and all of it for harder rows.
        nothing = change - change
        return {"harder_rows": nothing, "changed_meaning": nothing, "unseen_rows": change}
    changed = _changed_part(evidence, shared)
    return {"harder_rows": change - unseen - changed, "changed_meaning": changed, "unseen_rows": unseen}


def _change_of_mean(evidence: DiagnosisEvidence) -> _Figure:
    """Return by how much the mean loss of the window is more than the reference's."""
    old, new = evidence.reference, evidence.window
    before, now = float(old.counted @ old.losses), float(new.counted @ new.losses)
    of_old, of_new = (len(side) * side.counted * (side.losses - mean) for side, mean in ((old, before), (new, now)))
    return _Figure(now - before, -of_old, of_new)


def _unseen_share(evidence: DiagnosisEvidence, shared: SharedRows) -> float:
    return float(evidence.window.counted[shared.unseen[shared.is_window]].sum())


def _unseen_part(evidence: DiagnosisEvidence, shared: SharedRows) -> _Figure:
    """Return what rows never seen cost: their losses beyond the former mean."""
    old, new, unseen = evidence.reference, evidence.window, shared.unseen[shared.is_window]
    p, q = old.counted, new.counted
    before, share = float(p @ old.losses), _unseen_share(evidence, shared)
    value = float(q[unseen] @ (new.losses[unseen] - before))
    of_new = len(new) * q * (np.where(unseen, new.losses - before, 0.0) - value)
    return _Figure(value, -share * (len(old) * p * (old.losses - before)), of_new)


def _changed_part(evidence: DiagnosisEvidence, shared: SharedRows) -> _Figure:
    """Return what it costs that rows which both sides have mean something else: by how much their losses rose."""
    old, new, both = evidence.reference, evidence.window, shared.is_window
    p, q, unseen = old.counted, new.counted, shared.unseen[both]
    # The rows that both sides have, as often as the window has them.
    share = np.minimum(shared.share[~both], NEVER_SEEN / (1 + NEVER_SEEN))
    s_old, s_new = _normalised(p * share / (1 - share)), _normalised(np.where(unseen, 0.0, q))
    rest_old, rest_new = old.losses - shared.expected[~both], new.losses - shared.expected[both]
    left_old, left_new = float(s_old @ rest_old), float(s_new @ rest_new)
    rise = left_new - left_old
    # Only rows that are not unseen can mean something else now.
    unseen_share = _unseen_share(evidence, shared)
    seen_share = 1 - unseen_share
    of_old = -seen_share * len(old) * s_old * (rest_old - left_old)
    of_new = seen_share * len(new) * s_new * (rest_new - left_new)
    of_new = of_new - rise * len(new) * q * (unseen - unseen_share)
    return _Figure(seen_share * rise, of_old, of_new)


def _measured(figures: dict[PartName, _Figure], evidence: DiagnosisEvidence) -> tuple[LossPart, ...]:
    """Return the parts with their intervals; they are certain after Holm's correction for their number."""
    from scipy.special import ndtr, ndtri

    errors = {name: figure.error(evidence) for name, figure in figures.items()}
    chances = {
        name: float(ndtr(-figure.value / errors[name])) if errors[name] > 0 else 1.0 for name, figure in figures.items()
    }
    certain = holm(chances, 1 - CONFIDENCE)
    half = float(ndtri((1 + CONFIDENCE) / 2))
    return tuple(
        LossPart(
            name=name,
            change=figure.value,
            standard_error=errors[name],
            low=figure.value - half * errors[name],
            high=figure.value + half * errors[name],
            certain=certain[name],
        )
        for name, figure in figures.items()
    )


def _is_surely_small(part: _Figure, change: _Figure, evidence: DiagnosisEvidence) -> bool:
    """Return whether a part is surely less than its share of the change, by a one-sided interval."""
    from scipy.special import ndtri

    beyond = part - change.times(_SHARE)
    return beyond.value + float(ndtri(CONFIDENCE)) * beyond.error(evidence) < 0


def _normalised(weights: Floats) -> Floats:
    total = float(weights.sum())
    return weights / total if total > 0 else np.full(len(weights), 1 / len(weights))
