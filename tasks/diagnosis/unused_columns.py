"""Columns that the model does not read, and that explain what a model of its columns gets wrong. Pure."""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from everfit.tasks.core.loss_diagnosis import LOSS_TEXTS
from everfit.tasks.diagnosis.encoding import encode
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence, row_losses

Floats = npt.NDArray[np.float64]
Learn = Callable[[Floats, npt.NDArray[np.bool_]], Floats]
"""Returns what a model of these values, of which some are categories, says of each row by the other days."""

MOST_COLUMNS = 12
"""Columns that are looked at; each takes a fit for each fold."""
_LEAST_GAIN = 0.05
"""A column that explains a smaller share of the loss is not worth a feature."""
_ERROR = 0.025


def explaining_columns(evidence: DiagnosisEvidence, recent: Floats, learn: Learn) -> list[str]:
    """Return in words which unused columns explain what a model of the window gets wrong, the best first.

    A model learns from the answers of that model alone, and from them beside each column.

    Args:
        evidence: Both sides; its `unused` columns are in the window's rows.
        recent: Answers of a model of the window's other days; shape (rows,) or (rows, classes).
        learn: Fits a model on some folds, and answers the others.
    """
    window = evidence.window
    if not evidence.unused or window.truth is None:
        return []
    encoded = encode(window.rows.iloc[:0], window.rows, evidence.unused)
    names = list(dict.fromkeys(encoded.columns))[:MOST_COLUMNS]
    answers = recent.reshape(len(window), -1)
    plain = np.zeros(answers.shape[1], dtype=np.bool_)
    if not names:
        return []
    before = row_losses(window.truth, learn(answers, plain), evidence.row_loss)
    limit = NormalDist().inv_cdf(1 - _ERROR / len(names))
    found = []
    for name in names:
        own = np.array([column == name for column in encoded.columns])
        values = np.column_stack([answers, encoded.values[:, own]])
        after = row_losses(
            window.truth, learn(values, np.concatenate([plain, encoded.is_categorical[own]])), evidence.row_loss
        )
        weighted = window.counted * (before - after)
        gain, now = float(weighted.sum()), float(window.counted @ before)
        error = window.mean_error(len(window) * (weighted - window.counted * gain))
        if gain > max(limit * error, _LEAST_GAIN * now):
            found.append((gain / now, name))
    return [
        f"{name}, which the model does not read, explains {share:.0%} of the {LOSS_TEXTS[evidence.row_loss]} that a "
        "model fitted on this window leaves; make it a feature if it is known before the event"
        for share, name in sorted(found, key=lambda pair: (-pair[0], pair[1]))
    ]
