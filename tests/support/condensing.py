"""Models as numbers and texts, and back."""

import numpy as np

from everfit.tasks.scoring.fast_path.answering import Answering, restored
from everfit.tasks.scoring.fast_path.stored import Stored
from everfit.tasks.scoring.scores import Scores


def restored_from_bytes(answering: Answering) -> Answering:
    """Return what answers from the file that is made of it."""
    return restored(Stored.of_bytes(answering.stored().to_bytes()))


def is_same(left: Scores, right: Scores) -> bool:
    """Return whether two answers are the same to the last bit, also in their types."""
    return left.columns() == right.columns() and all(
        np.array_equal(np.asarray(one), np.asarray(other))
        for one, other in ((left.values, right.values), (left.probabilities, right.probabilities))
    )
