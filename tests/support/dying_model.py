"""A model whose first answer ends the process that it is asked in."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator


class DiesOnce(BaseEstimator):  # type: ignore[misc]
    """Answers by the value of `price`, once a file shows that a process has died of it.

    Args:
        marker: The file.
    """

    classes_ = np.array([0, 1])

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def predict_proba(self, rows: Any) -> npt.NDArray[np.float64]:
        """The probability of both classes; shape (rows, 2)."""
        try:
            Path(self.marker).touch(exist_ok=False)
        except FileExistsError:
            second = rows["price"].to_numpy() / 1_000
            return np.column_stack([1 - second, second])
        os._exit(1)

    def predict(self, rows: Any) -> npt.NDArray[Any]:
        """The most probable class; shape (rows,)."""
        return self.predict_proba(rows).argmax(axis=1)
