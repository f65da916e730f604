"""How much each row of the hold-out counts for rows as they are now: the odds of a domain classifier. Pure.

Where the model's answers mean different things on different kinds of rows, an estimate without labels goes wrong as
soon as these kinds change their shares. Weighting the hold-out by w(x) = p_now(x) / p_then(x) corrects that (J. Białek
et al., "Estimating Model Performance Under Covariate Shift Without Labels", 2024).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.tasks.diagnosis.encoding import encode
from everfit.tasks.diagnosis.labelled_rows import LabelledRows
from everfit.tasks.diagnosis.shared_rows import BINS, NEVER_SEEN, in_bins, with_values
from everfit.tasks.diagnosis.unseen_values import unseen_rows
from everfit.tasks.statistics.paired_tests import delong_area

Floats = npt.NDArray[np.float64]

MOST_ROWS = 5_000
"""Rows of either side that the classifier looks at."""
_LEAST_ROWS = 300
_FOLDS = 2
_SURE = 2.576


@dataclass(frozen=True)
class CovariateShift:
    """How the rows have moved.

    Attributes:
        rows: Positions of the hold-out's rows that have a weight; shape (n,).
        weights: How often such rows are there now, as a multiple of then, with the mean 1; shape (n,).
        unseen: Share of the present rows that are of a kind that the hold-out hardly has.
    """

    rows: npt.NDArray[np.int64]
    weights: Floats
    unseen: float

    @property
    def effective(self) -> float:
        """The number of equally weighted rows that say as much."""
        return float(self.weights.sum() ** 2 / (self.weights**2).sum())


def covariate_shift(
    holdout: pd.DataFrame, now: pd.DataFrame, columns: Sequence[str], texts: Sequence[str] = (), seed: int = 0
) -> CovariateShift | None:
    """Return how the rows have moved; None if nothing tells them from those of the hold-out.

    Args:
        holdout: Rows of the hold-out; shape (n, columns).
        now: Present rows; shape (m, columns).
        columns: The features, but for texts.
        texts: The features of free text.
        seed: The seed of samples, folds and trees.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    random = np.random.default_rng(seed)
    rows = np.sort(random.permutation(len(holdout))[:MOST_ROWS])
    old, new = holdout.iloc[rows], now.iloc[np.sort(random.permutation(len(now))[:MOST_ROWS])]
    shared = [name for name in columns if name in old and name in new]
    words = [name for name in texts if name in old and name in new]
    if min(len(old), len(new)) < _LEAST_ROWS or not (shared or words):
        return None
    encoded = encode(old.reset_index(drop=True), new.reset_index(drop=True), shared, words)
    features = in_bins(encoded)
    if not features.shape[1]:
        return None
    is_new = np.repeat([False, True], [len(old), len(new)])
    balance = np.where(is_new, len(is_new) / (2 * len(new)), len(is_new) / (2 * len(old)))
    folds = random.permutation(len(is_new)) % _FOLDS
    logits = np.zeros(len(is_new))
    with threadpool_limits(1):
        for fold in range(_FOLDS):
            train, test = folds != fold, folds == fold
            values = with_values(features, train)
            classifier = HistGradientBoostingClassifier(
                max_iter=40,
                max_bins=BINS,
                max_leaf_nodes=12,
                min_samples_leaf=40,
                early_stopping=False,
                categorical_features=encoded.is_categorical,
                random_state=seed,
            )
            classifier.fit(values[train], is_new[train], sample_weight=balance[train])
            logits[test] = classifier.decision_function(values[test])
    area, error = delong_area(is_new.astype(np.float64), logits)
    if area - _SURE * error <= 0.5:
        return None
    # A classifier that has learned noise is too sure; on the other fold this shows, and its odds are shrunk.
    calibration = LogisticRegression(C=1e6).fit(logits[:, None], is_new, sample_weight=balance)
    slope, offset = max(0.0, float(calibration.coef_[0, 0])), float(calibration.intercept_[0])
    odds = np.exp(np.clip(slope * logits + offset, -12, 12))
    none = np.zeros(len(old)), np.zeros(len(new))
    strange = unseen_rows(LabelledRows(old, none[0]), LabelledRows(new, none[1]), encoded)
    unseen = float(((odds[is_new] > NEVER_SEEN) | strange).mean())
    return CovariateShift(rows, odds[~is_new] / odds[~is_new].mean(), unseen)
