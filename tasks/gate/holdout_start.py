"""Which rows a fair comparison may use: those that neither model has trained on."""

from datetime import datetime

import numpy as np
import numpy.typing as npt


def holdout_start_allowed(*trained_until: datetime | None) -> datetime | None:
    """Return how far back a hold-out may reach: to the point where the last of the models stopped learning.

    Args:
        trained_until: The end of each compared model's training data; None for a model that has learned nothing.

    Returns:
        The earliest event time that none of them has seen, or None for models that have seen nothing.

    Example:
        >>> holdout_start_allowed(datetime(2013, 3, 1), None, datetime(2013, 2, 15))
        datetime.datetime(2013, 3, 1, 0, 0)
    """
    return max((end for end in trained_until if end is not None), default=None)


def count_overlap(holdout_keys: npt.ArrayLike, *trained_keys: npt.ArrayLike) -> int:
    """Count the hold-out rows whose key is among the rows that some model has trained on.

    Args:
        holdout_keys: Key of each row of the hold-out, shape (n,).
        trained_keys: Keys of the rows that each model has trained on, shape (m,) each.
    """
    held_out = np.asarray(holdout_keys)
    seen = np.zeros(held_out.shape, dtype=np.bool_)
    for keys in trained_keys:
        seen |= np.isin(held_out, np.asarray(keys))
    return int(seen.sum())
