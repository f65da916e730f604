"""A draw of rows by their keys: the same keys in the log and among the labels, in whatever order and parts. Pure."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MOST = 1_000_000
"""Rows that a look holds at a time; of more it draws about so many."""
MOST_KEYS = 10_000_000
"""Keys that are held at a time where nothing but the key is needed."""
COLUMNS = 16
"""Of rows with more columns than these it holds fewer."""

_DRAW = np.int64(0x2545F4914F6CDD1D)
"""Makes the draw independent of other samples that are drawn by the hash of the key."""


@dataclass(frozen=True)
class KeyDraw:
    """A share of all keys; a smaller share is a part of a larger one.

    Attributes:
        share: From 0 to 1.
    """

    share: float = 1.0

    @classmethod
    def of(cls, rows: int, most: int | None) -> "KeyDraw":
        """Return the draw that leaves about so many rows.

        Args:
            rows: The number of all rows.
            most: The number to leave; None for all.
        """
        return cls() if most is None or rows <= most else cls(most / rows)

    def halved(self) -> "KeyDraw":
        """Return the largest draw within this one whose share is a power of a half: it changes with few looks."""
        return KeyDraw(2.0 ** math.floor(math.log2(self.share)))

    @property
    def is_all(self) -> bool:
        """Return whether every key is in the draw."""
        return self.share >= 1

    def chosen(self, keys: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return whether each key is in the draw; shape (rows,).

        Args:
            keys: Hashes of the rows' keys; shape (rows,).
        """
        import pandas as pd

        hashed = np.asarray(keys, dtype=np.int64)
        if self.is_all:
            return np.ones(hashed.shape, dtype=np.bool_)
        return np.asarray(pd.util.hash_array(hashed ^ _DRAW) / 2.0**64 < self.share, dtype=np.bool_)

    def summary(self, rows: int) -> str:
        """Return in words how many rows were drawn; empty for all.

        Args:
            rows: The number of drawn rows.
        """
        if self.is_all:
            return ""
        return f"on a draw of {rows:,} of about {round(rows / self.share):,} rows, by their key"


def most_rows(columns: int) -> int:
    """Return how many rows of so many columns a look holds at a time."""
    return MOST * COLUMNS // max(COLUMNS, columns)
