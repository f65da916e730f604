"""Correction of p-values for how many were looked at."""

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import DataError


def adjusted_p_values(p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Adjust p-values so that those at or below a rate hold at most that share of false alarms, on average.

    Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate: a practical and powerful approach to
    multiple testing", Journal of the Royal Statistical Society B 57 (1995); holds for independent tests and for
    those that depend on each other positively, such as slices of the same rows.

    Args:
        p_values: Shape (tests,).

    Returns:
        Shape (tests,), in the order given, none below its p-value.

    Raises:
        DataError: a value that is no p-value.

    Example:
        >>> adjusted_p_values([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.04, 0.04]
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise DataError(f"{values.tolist()!r} are not p-values; each must lie in [0, 1]")
    order = np.argsort(values, kind="stable")
    scaled = values[order] * values.size / np.arange(1, values.size + 1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted
