"""The change of the loss in three parts: harder rows, rows that mean something else now, rows never seen.

After T. T. Cai, H. Namkoong and S. Yadlowsky, "Diagnosing Model Performance Under Distribution Shift", Operations
Research (2025). Losses are compared on the rows that both sides share, whose density is s = pq / (p + q) of the
densities p of the reference and q of the window. The losses that trees expect of a row are taken out first, so that an
error of the classifier hardly matters.
"""

import numpy as np
import numpy.typing as npt

from everfit.tasks.core.loss_diagnosis import Cause, LossPart, LossSplit, PartName
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence
from everfit.tasks.diagnosis.shared_rows import SharedRows
from everfit.tasks.statistics.holm import holm

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
_SHARE = 0.25
"""A part counts as a cause from this share of the loss on."""
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
    s_old, s_new = _normalised(p * shared.share[~both]), _normalised(q * (1 - shared.share[both]))
    expected_old, expected_new = shared.expected[~both], shared.expected[both]
    of_shared = float(s_old @ expected_old + s_new @ expected_new) / 2
    rest_old, rest_new = old.losses - expected_old, new.losses - expected_new
    left_old, left_new = float(s_old @ rest_old), float(s_new @ rest_new)
    before, now = float(p @ old.losses), float(q @ new.losses)
    shared_old, shared_new = of_shared + left_old, of_shared + left_new

    # Influence of each row on the parts, times the number of rows.
    n, m = len(old), len(new)
    spread_old, spread_new = (
        n * s_old * (expected_old - s_old @ expected_old) / 2,
        m * s_new * (expected_new - s_new @ expected_new) / 2,
    )
    own_old, own_new = n * s_old * (rest_old - left_old), m * s_new * (rest_new - left_new)
    mean_old, mean_new = n * p * (old.losses - before), m * q * (new.losses - now)
    moved = (q - s_new) * (new.losses - shared_new)
    unseen = shared.unseen[both]
    beyond = float(moved[unseen].sum())
    # The shared mean that `moved` is measured from is uncertain too, by the sum of the unseen rows' weights.
    gap = float((q - s_new)[unseen].sum())
    of_mean_old, of_mean_new = spread_old, spread_new + own_new
    beyond_old = -gap * of_mean_old
    beyond_new = m * np.where(unseen, moved, 0.0) - beyond - gap * of_mean_new
    whole_old, whole_new = -spread_old, mean_new - of_mean_new  # of now - shared_new
    changes: dict[PartName, tuple[float, Floats, Floats]] = {
        "harder_rows": (
            (shared_old - before) + (now - shared_new - beyond),
            spread_old + own_old - mean_old + whole_old - beyond_old,
            spread_new + whole_new - beyond_new,
        ),
        "changed_meaning": (left_new - left_old, -own_old, own_new),
        "unseen_rows": (beyond, beyond_old, beyond_new),
    }
    unseen_share = float(q[unseen].sum())
    if unseen_share >= _ALL_UNSEEN:
        # Without shared rows the weights of unseen ones would be taken for theirs, and all of it for harder rows.
        none_old, none_new = np.zeros_like(mean_old), np.zeros_like(mean_new)
        changes = {
            "harder_rows": (0.0, none_old, none_new),
            "changed_meaning": (0.0, none_old, none_new),
            "unseen_rows": (now - before, mean_old, mean_new),
        }
    error = float(np.hypot(old.mean_error(mean_old), new.mean_error(mean_new)))
    change = now - before
    is_certain = error > 0 and float(ndtr(-change / error)) <= 1 - CONFIDENCE
    measured = {
        name: (value, float(np.hypot(old.mean_error(of_old), new.mean_error(of_new))))
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
    causes = [part.name for part in parts if is_certain and part.certain and part.change >= _SHARE * change]
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
