"""A sample of rows that come in chunks: the same rows in whatever order they come."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from everfit.tasks.storage.tables import KEY


@dataclass
class RowSample:
    """Rows whose keys have the least hashes.

    Attributes:
        rows: The largest number of rows.
    """

    rows: int
    _parts: list[pd.DataFrame] = field(default_factory=list)
    _bound: int = np.iinfo(np.uint64).max

    def add(self, chunk: pd.DataFrame) -> None:
        """Draw from a chunk, which has the column `_key`."""
        hashes = pd.util.hash_array(chunk[KEY].to_numpy())
        chosen = hashes <= self._bound
        self._parts.append(chunk[chosen].assign(_draw=hashes[chosen]))
        if sum(map(len, self._parts)) > 4 * self.rows:
            self._keep()

    def merge(self, other: "RowSample") -> None:
        """Draw from the sample of later chunks, which has as many rows."""
        if len(rows := other.frame):
            self.add(rows)

    def trim(self) -> None:
        """Keep no more rows than the sample has in the end."""
        if self._parts:
            self._keep()

    @property
    def frame(self) -> pd.DataFrame:
        """The sample so far; shape (at most `rows`, columns), without columns if there was no chunk."""
        if not self._parts:
            return pd.DataFrame()
        self.trim()
        return self._parts[0].drop(columns="_draw").reset_index(drop=True)

    def _keep(self) -> None:
        kept = pd.concat(self._parts).nsmallest(self.rows, "_draw")
        self._parts = [kept]
        if len(kept) == self.rows:
            self._bound = int(kept["_draw"].iloc[-1])
