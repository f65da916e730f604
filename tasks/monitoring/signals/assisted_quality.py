"""Quality on labels from the labelling queue, helped by what the champion's answers predict of all rows."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import NotEnoughError
from everfit.tasks.monitoring.signals.live_estimate import QualityEstimator
from everfit.tasks.monitoring.signals.quality import RealisedQuality
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.statistics.assisted_metric import assisted
from everfit.tasks.statistics.metrics import metric


def use_labels_well(
    quality: RealisedQuality, mature: LabelledPredictions, estimator: QualityEstimator | None
) -> tuple[RealisedQuality, str]:
    """Return quality corrected by the answers to all rows, and a sentence about it.

    Where labels were not drawn with known probabilities, or the correction does not help, quality stays as it is and
    the sentence is empty.

    Args:
        quality: On the labelled rows, each by the inverse of its probability.
        mature: All answers, with the labels that there are.
        estimator: The estimator of the metric; None if it can't be estimated.
    """
    labelled = mature.with_labels()
    inclusion = labelled.inclusion
    if estimator is None or inclusion is None or len(labelled.rows) == len(mature.rows):
        return quality, ""
    weights, truth, scores = 1 / inclusion, labelled.truth, labelled.scores
    measure = metric(quality.metric)

    def measured(rows: npt.NDArray[np.int64]) -> float:
        return measure.score(truth[rows], scores[rows], weights[rows])

    def predicted(rows: npt.NDArray[np.int64]) -> float:
        part = replace(labelled, rows=labelled.rows.iloc[rows])
        return estimator.expected(part, weights[rows])

    try:
        found = assisted(measured, predicted, estimator.expected(mature), len(labelled.rows))
    except NotEnoughError:
        return quality, ""
    if found is None or found.narrower >= 1:
        return quality, ""
    moved, factor = found.value - quality.value, found.narrower
    better = quality.model_copy(
        update={
            "value": found.value,
            "standard_error": factor * quality.standard_error,
            "lower": found.value - factor * (quality.value - quality.lower),
            "upper": found.value + factor * (quality.upper - quality.value),
        }
    )
    text = (
        f"the answers to all {len(mature.rows):,} rows make it {1 - factor:.0%} more exact and move it by {moved:+.2g}"
    )
    return better, text
