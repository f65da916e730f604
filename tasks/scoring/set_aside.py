"""Rows that were set aside because a value in them could not be read, with their reasons."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pydantic import Field

from everfit.tasks.core.records import Record
from everfit.tasks.storage.values import FAULTS, faulty

_SHOWN = 20


class RowSetAside(Record):
    """A row that was set aside."""

    row: str = Field(description="Its key, or without a key its position among the rows that were read, from 1.")
    reason: str = Field(description="Column, value and reason of each fault.")


class RowsSetAside(Record):
    """The rows that were set aside of all that were read."""

    read: int = Field(default=0, description="Rows that were read.")
    count: int = Field(default=0, description="Rows that were set aside.")
    rows: tuple[RowSetAside, ...] = Field(default=(), description="The first of them.")

    def with_rows(self, frame: pd.DataFrame, key: Sequence[str]) -> "RowsSetAside":
        """Return the counts with more rows.

        Args:
            frame: The rows, with `_faults`.
            key: Columns of the key.
        """
        bad = np.flatnonzero(faulty(frame))
        shown = [self._named(frame, int(row), key) for row in bad[: _SHOWN - len(self.rows)]]
        return RowsSetAside(read=self.read + len(frame), count=self.count + len(bad), rows=(*self.rows, *shown))

    def _named(self, frame: pd.DataFrame, row: int, key: Sequence[str]) -> RowSetAside:
        values = {name: frame[name].iloc[row] for name in key if name in frame.columns}
        named = ", ".join(f"{name}={value}" for name, value in values.items())
        complete = values and not any(pd.isna(value) for value in values.values())
        reason = str(frame[FAULTS].iloc[row]).rstrip("; ")
        return RowSetAside(row=named if complete else f"row {self.read + row + 1:,}", reason=reason)

    def describe(self) -> str:
        """Return the rows as text for people, one a line; empty if there is none."""
        lines = [f"{self.count:,} of {self.read:,} rows were set aside:"] if self.count else []
        lines += [f"  {one.row}: {one.reason}" for one in self.rows]
        lines += [f"  and {self.count - len(self.rows):,} more"] if self.count > len(self.rows) else []
        return "\n".join(lines)
