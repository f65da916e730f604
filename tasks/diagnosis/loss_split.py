"""The change of the loss in three parts: harder rows, rows that mean something else now, rows never seen.

After T. T. Cai, H. Namkoong and S. Yadlowsky, "Diagnosing Model Performance Under Distribution Shift", Operations
Research (2025). Losses are compared on the rows that both sides share; rows that the reference hardly has count apart.
The density of the method, pq / (p + q), gives little weight to what the window has more of. Here the reference's rows
count by the odds q / p, so that each part is what its rows in the window cost. The losses that trees expect of a row
are taken out first, so that an error of the classifier hardly matters.
"""

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


def split_loss(evidence: DiagnosisEvidence, shared: SharedRows) -> LossSplit:
    """Split the change of the loss, and name its cause if it is certain.

    Args:
        evidence: Both sides.
        shared: Which rows they share.
    """
    from scipy.special import ndtr, ndtri

    old, new, both = evidence.reference, evidence.window, shared.is_window
    p, q = old.counted, new.counted
    unseen = shared.unseen[both]
    # The rows that both sides have, as often as the window has them.
    share = np.minimum(shared.share[~both], NEVER_SEEN / (1 + NEVER_SEEN))
    s_old, s_new = _normalised(p * share / (1 - share)), _normalised(np.where(unseen, 0.0, q))
    rest_old, rest_new = old.losses - shared.expected[~both], new.losses - shared.expected[both]
    left_old, left_new = float(s_old @ rest_old), float(s_new @ rest_new)
    before, now = float(p @ old.losses), float(q @ new.losses)
    unseen_share, moved = float(q[unseen].sum()), float(left_new - left_old)

    # Rows never seen count by their loss beyond the former mean, and only the others can mean something else now.
    beyond = float(q[unseen] @ (new.losses[unseen] - before))
    changed = (1 - unseen_share) * moved

    # Influence of each row on the parts, times the number of rows.
    n, m = len(old), len(new)
    mean_old, mean_new = n * p * (old.losses - before), m * q * (new.losses - now)
    beyond_old = -unseen_share * mean_old
    beyond_new = m * np.where(unseen, q * (new.losses - before), 0.0) - beyond
    changed_old = -(1 - unseen_share) * n * s_old * (rest_old - left_old)
    changed_new = (1 - unseen_share) * m * s_new * (rest_new - left_new)
    changed_new = changed_new - moved * (m * np.where(unseen, q, 0.0) - unseen_share)
    changes: dict[PartName, tuple[float, Floats, Floats]] = {
        "harder_rows": (
            now - before - beyond - changed,
            -mean_old - beyond_old - changed_old,
            mean_new - beyond_new - changed_new,
        ),
        "changed_meaning": (changed, changed_old, changed_new),
        "unseen_rows": (beyond, beyond_old, beyond_new),
    }
    if unseen_share >= _ALL_UNSEEN:
        # Without shared rows the weights of unseen ones would be taken for theirs, and all of it for harder rows.
        none_old, none_new = np.zeros_like(mean_old), np.zeros_like(mean_new)
        changes = {
            "harder_rows": (0.0, none_old, none_new),
            "changed_meaning": (0.0, none_old, none_new),
            "unseen_rows": (now - before, -mean_old, mean_new),
        }

    def error_of(of_old: Floats, of_new: Floats) -> float:
        return float(np.hypot(old.mean_error(of_old), new.mean_error(of_new)))

    change, error = now - before, error_of(mean_old, mean_new)
    is_certain = error > 0 and float(ndtr(-change / error)) <= 1 - CONFIDENCE
    measured = {name: (value, error_of(of_old, of_new)) for name, (value, of_old, of_new) in changes.items()}
    # How far each part is beyond its share of the loss, at the upper end of a one-sided interval.
    above = {
        name: value
        - _SHARE * change
        + ndtri(CONFIDENCE) * error_of(of_old + _SHARE * mean_old, of_new - _SHARE * mean_new)
        for name, (value, of_old, of_new) in changes.items()
    }
    chances = {name: float(ndtr(-value / error)) if error > 0 else 1.0 for name, (value, error) in measured.items()}
    certain = holm(chances, 1 - CONFIDENCE)
    half = float(ndtri((1 + CONFIDENCE) / 2))
    parts = tuple(
        LossPart(
            name=name,
            change=value,
            standard_error=error,
            low=value - half * error,
            high=value + half * error,
            certain=certain[name],
        )
        for name, (value, error) in measured.items()
    )
    causes = [part.name for part in parts if is_certain and part.certain and above[part.name] >= 0]
    cause: Cause = "none" if not causes else causes[0] if len(causes) == 1 else "mixed"
    return LossSplit(
        before=before,
        now=now,
        standard_error=error,
        certain=is_certain,
        parts=parts,
        cause=cause,
        unseen_share=unseen_share,
    )


def _normalised(weights: Floats) -> Floats:
    total = float(weights.sum())
    return weights / total if total > 0 else np.full(len(weights), 1 / len(weights))
