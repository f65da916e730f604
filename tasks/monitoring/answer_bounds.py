"""The bounds of answers from rows with labels: first from the hold-out, later from the newest rows. Pure."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from everfit.tasks.core.answer_bounds import AnswerBounds
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.statistics.conformal import (
    NEWEST,
    adapted_miss_rate,
    class_scores,
    conformal_bound,
    error_sizes,
    scaled_errors,
    smallest_miss_rate,
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class HeldOutScores:
    """The conformal scores of the rows of a hold-out that nothing else was taken from.

    Attributes:
        scores: Shape (rows,), in the order of time.
        edges: The answers of a regression between which errors have another size.
        scales: The size of errors in each part.
    """

    scores: Floats
    edges: tuple[float, ...] = ()
    scales: tuple[float, ...] = (1.0,)

    @classmethod
    def of(cls, holdout: LabelledPredictions) -> "HeldOutScores":
        """Return the scores of a hold-out.

        For a regression, one half says how large errors are, and the other half gives the scores, so that the bound
        stays exact.

        Args:
            holdout: Answers of the model as it was judged, with labels.
        """
        if holdout.task != "regression":
            return cls(row_scores(holdout, (), (1.0,)))
        first = np.zeros(len(holdout.rows), dtype=np.bool_)
        chosen = np.random.default_rng(0).permutation(len(holdout.rows))[: len(holdout.rows) // 2]
        first[chosen] = True
        half = holdout.of(first)
        edges, scales = error_sizes(half.scores, np.abs(half.truth - half.scores))
        return cls(row_scores(holdout.of(~first), edges, scales), edges, scales)

    def bounds(self, promised: float) -> AnswerBounds:
        """Return the bounds that the hold-out gives.

        Args:
            promised: The share of answers that must be right.
        """
        miss_rate = round(1 - promised, 12)
        return AnswerBounds(
            promised=promised,
            miss_rate=miss_rate,
            bound=conformal_bound(self.scores, miss_rate),
            rows=self.scores.size,
            edges=self.edges,
            scales=self.scales,
        )

    def adapted(
        self, before: AnswerBounds, fresh: LabelledPredictions, live: LabelledPredictions, until: datetime
    ) -> AnswerBounds:
        """Adapt the bounds to the labels of some rows.

        The level answers to the misses of the fresh rows by the bound in force, and the bound is taken from the newest
        rows, those of the hold-out before them.

        Args:
            before: The bounds in force.
            fresh: Rows whose labels have not adapted the bounds yet.
            live: Answers with labels, the fresh rows among them, in the order of time.
            until: The end of the fresh rows.
        """
        scores, weights = row_scores(fresh, self.edges, self.scales), row_weights(fresh)
        missed = float(np.average(scores > (np.inf if before.bound is None else before.bound), weights=weights))
        miss_rate = adapted_miss_rate(before.miss_rate, missed, scores.size, before.promised)
        known, known_weights = row_scores(live, self.edges, self.scales)[-NEWEST:], row_weights(live)
        older = self.scores[max(0, self.scores.size - NEWEST + known.size) :] if known.size < NEWEST else np.zeros(0)
        newest = np.concatenate([older, known])
        by_row = None
        if known_weights is not None:
            by_row = np.concatenate([np.ones(older.size), known_weights[-NEWEST:]])
        # A level that no number of rows could hold would answer with everything, which helps nobody.
        used = max(miss_rate, smallest_miss_rate(newest.size))
        return before.model_copy(
            update={
                "miss_rate": miss_rate,
                "bound": conformal_bound(newest, used, by_row),
                "rows": newest.size,
                "adapted_until": until,
                "edges": self.edges,
                "scales": self.scales,
            }
        )


def row_scores(answers: LabelledPredictions, edges: tuple[float, ...], scales: tuple[float, ...]) -> Floats:
    """Return the conformal score of each answer with a label; shape (rows,)."""
    scores, truth = answers.scores, answers.truth
    if answers.task == "regression":
        return scaled_errors(scores, np.abs(truth - scores), edges, scales)
    chances = np.column_stack([1 - scores, scores]) if answers.task == "binary" else scores
    return class_scores(chances, truth.astype(np.int64))


def row_weights(answers: LabelledPredictions) -> Floats | None:
    """Return the weight of each row by its chance of being labelled; None if all count the same."""
    inclusion = answers.inclusion
    return None if inclusion is None else 1 / inclusion
