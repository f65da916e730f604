"""Which rows reference and window share: a domain classifier's odds, and the losses that are expected of such rows.

Both are learned from some days and applied to the others, so that no row is judged by itself.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from everfit.tasks.diagnosis.encoding import Encoded
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence, LabelledRows
from everfit.tasks.diagnosis.unseen_values import has_unseen_value

Floats = npt.NDArray[np.float64]

FOLDS = 4
NEVER_SEEN = 10.0
"""Rows that the window has this many times as often as the reference count as never seen."""
_NEW = 0.999
"""The share of the window among rows with a value that the hold-out lacks."""
_STEPS, _LEAVES, _LEAST_LEAF = 50, 12, 40
BINS = 64
"""Different values of a number that trees see; a column has fewer categories."""


@dataclass(frozen=True)
class SharedRows:
    """The side and the loss that are expected of each row; the rows of the reference come first.

    Attributes:
        share: The share of the window among such rows if both sides were equally large; shape (rows,).
        expected: The loss that is expected of such rows on either side; shape (rows,).
        is_window: Whether each row is from the window; shape (rows,).
    """

    share: Floats
    expected: Floats
    is_window: npt.NDArray[np.bool_]

    @property
    def unseen(self) -> npt.NDArray[np.bool_]:
        """Whether the reference has hardly any such rows; shape (rows,)."""
        return self.share > NEVER_SEEN / (1 + NEVER_SEEN)


def shared_rows(evidence: DiagnosisEvidence, encoded: Encoded, seed: int = 0) -> SharedRows:
    """Learn which rows both sides share, and which losses are expected of them.

    Args:
        evidence: Both sides.
        encoded: Their columns as numbers.
        seed: The seed of the folds and the trees.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    reference, window = evidence.reference, evidence.window
    is_window = np.repeat([False, True], [len(reference), len(window)])
    weights = np.concatenate([reference.counted, window.counted]) * (len(reference) + len(window)) / 2
    losses = np.concatenate([reference.losses, window.losses])
    folds = np.concatenate([fold_of_rows(reference, seed), fold_of_rows(window, seed + 1)])
    features = in_bins(encoded)
    logits, expected = np.zeros(len(losses)), np.full(len(losses), float(np.average(losses, weights=weights)))
    if features.shape[1]:
        settings = {
            "max_iter": _STEPS,
            "max_bins": BINS,
            "max_leaf_nodes": _LEAVES,
            "min_samples_leaf": _LEAST_LEAF,
            "early_stopping": False,
            "categorical_features": encoded.is_categorical,
            "random_state": seed,
        }
        # On so few rows, threads that wait for a busy machine's cores cost more than they bring.
        with threadpool_limits(1):
            for fold in range(FOLDS):
                train, test = folds != fold, folds == fold
                if not test.any() or len(np.unique(is_window[train])) < 2:
                    continue
                values = with_values(features, train)
                sides = HistGradientBoostingClassifier(**settings)
                sides.fit(values[train], is_window[train], sample_weight=weights[train])
                logits[test] = sides.decision_function(values[test])
                outcome = HistGradientBoostingRegressor(**settings)
                outcome.fit(values[train], losses[train], sample_weight=weights[train])
                expected[test] = outcome.predict(values[test])
        # A classifier that has learned noise is too sure; on the other folds this shows, and its odds are shrunk.
        calibration = LogisticRegression(C=1e6).fit(logits[:, None], is_window, sample_weight=weights)
        slope = max(0.0, float(calibration.coef_[0, 0]))
        logits = slope * logits + (float(calibration.intercept_[0]) if slope > 0 else 0.0)
    share = 1 / (1 + np.exp(-logits))
    # Of few rows with a new value the classifier isn't sure, and yet the hold-out has none.
    share[is_window] = np.where(has_unseen_value(evidence, encoded), _NEW, share[is_window])
    return SharedRows(share, expected, is_window)


def in_bins(encoded: Encoded) -> Floats:
    """Return numbers as the place of their quantile, which trees fit several times faster; shape (rows, features).

    Args:
        encoded: The columns of both sides.
    """
    binned = encoded.values.copy()
    for place in np.flatnonzero(~encoded.is_categorical):
        values = encoded.values[:, place]
        known = values[~np.isnan(values)]
        if len(np.unique(known)) > BINS:
            edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
            binned[:, place] = np.where(np.isnan(values), np.nan, np.searchsorted(edges, values, side="right"))
    return binned


def with_values(features: Floats, train: npt.NDArray[np.bool_]) -> Floats:
    """Return features in which a column without any value in the training rows is constant, for trees to be fitted.

    Args:
        features: Numbers; shape (rows, features).
        train: Which rows are fitted on; shape (rows,).
    """
    return np.where(np.isnan(features[train]).all(axis=0), 0.0, features)


def fold_of_rows(side: LabelledRows, seed: int) -> npt.NDArray[np.int64]:
    """Return the fold of each row: whole days where there are enough of them, otherwise single rows.

    Args:
        side: The rows.
        seed: The seed of the draw.
    """
    random = np.random.default_rng(seed)
    if side.days is not None:
        known, places = np.unique(side.days, return_inverse=True)
        if len(known) >= 2 * FOLDS:
            return np.asarray((random.permutation(len(known)) % FOLDS)[places], dtype=np.int64)
    return np.asarray(random.permutation(len(side)) % FOLDS, dtype=np.int64)
