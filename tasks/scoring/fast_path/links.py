"""The inverses of scikit-learn's link functions, to the last bit, without SciPy.

For two classes scikit-learn takes SciPy's function, which takes the exponential of the C library. numpy has one of its
own for arrays, which may differ in the last bit.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def link_name(link: Any) -> str:
    """Return the name of a link function of scikit-learn's losses; another one has the name of its class too."""
    return type(link).__name__


def _two_classes(sums: Floats) -> Floats:
    second = np.array([_expit(value) for value in sums[:, 0].tolist()])
    return np.column_stack([1 - second, second])


def _expit(value: float) -> float:
    try:
        return 1 / (1 + math.exp(-value))
    except OverflowError:
        return 0.0


def _several_classes(sums: Floats) -> Floats:
    raised = np.exp(sums - sums.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


LINKS: Mapping[str, Callable[[Floats], Floats]] = {
    "LogitLink": _two_classes,
    "MultinomialLogit": _several_classes,
    "IdentityLink": lambda sums: sums.ravel(),
    "LogLink": lambda sums: np.exp(sums.ravel()),
}
"""By name: from sums, shape (rows, trees of an iteration), to probabilities or numbers."""
