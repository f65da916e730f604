"""Drift of the joint distribution, which no column shows by itself: can a classifier tell window from reference?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import DataError, NotEnoughError
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.core.records import Record
from everfit.tasks.statistics.columns import codes_of, kind_of, numbers_of
from everfit.tasks.statistics.paired_tests import delong_area
from everfit.tasks.statistics.profile import reference_sample

Floats = npt.NDArray[np.float64]

MOST_ROWS = 10_000
FOLDS = 5


class JointDrift(Record):
    """How well a classifier tells the window's rows from the reference's."""

    auc: float = Field(description="Area under the ROC curve of scores made out of fold; 0.5 when nothing has moved.")
    low: float = Field(description="Lower end of its confidence interval.")
    high: float = Field(description="Upper end of it.")
    threshold: float
    drifted: bool
    rows: int = Field(description="Rows of the window that were sampled.")
    reference_rows: int = Field(description="Rows of the reference that were sampled.")
    summary: str


def joint_drift(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    columns: Sequence[str],
    policy: MonitoringPolicy,
    *,
    rows: int = MOST_ROWS,
    seed: int = 0,
) -> JointDrift:
    """Train a domain classifier on samples of both sides.

    After Lopez-Paz and Oquab, "Revisiting classifier two-sample tests" (2017). The window has
    drifted when the area under the curve is at or above the policy's threshold and its interval lies above 0.5.

    Args:
        reference: Rows of the reference.
        current: Rows of the window.
        columns: The features; those that the policy ignores, and dates, are left out.
        policy: Threshold and confidence.
        rows: How many rows of either side are sampled at most.
        seed: The seed of the samples, the folds and the classifier.

    Raises:
        DataError: too few rows, or no column to learn from.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

    old, new = reference_sample(reference, rows, seed), reference_sample(current, rows, seed)
    if min(len(old), len(new)) < policy.min_rows:
        raise NotEnoughError(
            f"{len(new):,} rows of the window and {len(old):,} of the reference are too few for a domain classifier; "
            f"monitoring.min_rows asks for {policy.min_rows:,}"
        )
    used = [name for name in columns if not policy.ignored(name) and kind_of(old[name]) is not None]
    if not used:
        raise DataError(f"none of the columns {list(columns)!r} can tell the window from the reference")
    both = pd.concat([old[used], new[used]], ignore_index=True)
    features = np.column_stack([_encoded(old[name], both[name]) for name in used])
    labels = np.repeat([0.0, 1.0], [len(old), len(new)])
    classifier = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, early_stopping=False, random_state=seed)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    # On so few rows, threads that wait for a busy machine's cores cost more than they bring.
    with threadpool_limits(1):
        scores = cross_val_predict(classifier, features, labels, cv=folds, method="predict_proba")[:, 1]
    auc, error = delong_area(labels, scores)
    margin = _quantile(policy.confidence) * error
    drifted = auc >= policy.joint_drift_threshold and auc - margin > 0.5
    summary = (
        f"a classifier tells the window from the reference with a ROC AUC of {auc:.3f} ± {margin:.3f}; "
        f"{policy.joint_drift_threshold:g} is drift"
    )
    return JointDrift(
        auc=auc,
        low=max(0.0, auc - margin),
        high=min(1.0, auc + margin),
        threshold=policy.joint_drift_threshold,
        drifted=drifted,
        rows=len(new),
        reference_rows=len(old),
        summary=summary,
    )


def _encoded(reference: "pd.Series[Any]", both: "pd.Series[Any]") -> Floats:
    """A column of both sides as numbers; a category by its frequency rank, missing as NaN."""
    if kind_of(reference) == "numeric":
        values, _ = numbers_of(both)
        return np.where(np.isfinite(values), values, np.nan)
    codes, categories = codes_of(both)
    counts = np.bincount(codes[codes >= 0], minlength=len(categories))
    rank = np.argsort(np.argsort(-counts, kind="stable"), kind="stable").astype(np.float64)
    return np.append(rank, np.nan)[codes]


def _quantile(confidence: float) -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + confidence) / 2))
