"""Divide a request between two arms, and hold the predictions of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from everfit.infra.serving.batching import ScoredRequest
from everfit.infra.serving.protocol import RequestTable


@dataclass(frozen=True)
class ArmPredictions:
    """Predictions of one arm for a request.

    Attributes:
        answer: The logged predictions.
        rows: Rows of the request, in the order of the predictions; None for all rows.
        joined: Versions of the joined rows of each row of the request; None for a model without joins.
    """

    answer: ScoredRequest
    rows: Sequence[int] | None = None
    joined: Sequence[str] | None = None

    def joined_of(self, position: int) -> str | None:
        """Return the versions of the joined rows of a prediction."""
        return None if self.joined is None else self.joined[position if self.rows is None else self.rows[position]]


def part_of(columns: Mapping[str, Sequence[Any]], rows: Sequence[int]) -> dict[str, list[Any]]:
    """Return some rows of columns."""
    return {name: [values[row] for row in rows] for name, values in columns.items()}


def whole_columns(table: RequestTable) -> dict[str, Sequence[Any]]:
    """Return the columns that have a value for each row; the check refuses the others."""
    return {name: values for name, values in table.columns.items() if len(values) == table.rows}
