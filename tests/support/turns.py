"""Data in without the rest of the loop: one call reads, checks and takes in, and holds the books to account."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.spread import Spread, in_turn
from everfit.tasks.data.commit import commit_batch
from everfit.tasks.data.ingest import ingest
from everfit.tasks.data.staged_batch import Batch
from everfit.tasks.data.validate import Validation, validate
from everfit.tasks.storage.workspace import Workspace


class Loop:
    """A model and its workspace."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder = folder
        self.workspace = Workspace(str(folder / "workspace"))
        self.changes = changes

    @property
    def spec(self) -> ModelSpec:
        content = {
            "name": "sales",
            "task": "regression",
            "source": {"kind": "files", "path": str(self.folder / "data")},
            "columns": {"key": ["id"], "event_time": "at", "target": "y"},
        }
        return ModelSpec.model_validate(content | self.changes)

    def write(self, name: str, frame: pd.DataFrame) -> None:
        """Put a file into the source, whose format its name tells."""
        path = self.folder / "data" / name
        path.parent.mkdir(exist_ok=True)
        frame.to_parquet(path, index=False) if path.suffix == ".parquet" else frame.to_csv(path, index=False)

    def turn(
        self,
        until: datetime,
        turn_id: str | None = None,
        *,
        quality_is_lost: bool = False,
        spread: Spread = in_turn,
    ) -> tuple[Batch, Validation]:
        """Read, check and take in; rows in are rows accepted, quarantined and known, always."""
        turn_id = turn_id or f"turn-{until:%Y%m%d%H}"
        before, aside = self.count("dataset"), self.count("quarantine")
        batch = ingest(self.spec, until, turn_id, self.workspace, spread=spread)
        validation = validate(self.spec, batch, self.workspace, quality_is_lost=quality_is_lost, spread=spread)
        commit_batch(self.spec, batch, validation, self.workspace)
        assert batch.read == batch.new + batch.changed + batch.duplicates
        assert batch.read == validation.accepted + validation.quarantined + batch.duplicates
        taken = self.count("dataset") - before
        assert validation.accepted - batch.changed <= taken <= validation.accepted
        assert self.count("quarantine") - aside == validation.quarantined
        return batch, validation

    def count(self, table: str) -> int:
        found = self.workspace.table("sales", table)  # type: ignore[arg-type]
        return len(found.read()) if found.exists() else 0

    def dataset(self) -> pd.DataFrame:
        """The dataset by id."""
        return self.workspace.table("sales", "dataset").read().sort_values("id").reset_index(drop=True)

    def quarantine(self) -> pd.DataFrame:
        return self.workspace.table("sales", "quarantine").read()


def sales(rows: int, since: str = "2024-01-01", first: int = 0) -> pd.DataFrame:
    """One sale an hour."""
    at = pd.date_range(since, periods=rows, freq="h", tz="UTC")
    return pd.DataFrame(
        {
            "id": range(first, first + rows),
            "at": at,
            "price": [float(number % 7) + 0.5 for number in range(rows)],
            "shop": [("north", "south")[number % 2] for number in range(rows)],
            "y": [float(number % 5) for number in range(rows)],
        }
    )


def small_tables(tables: "Iterable[pa.Table | pa.RecordBatch]") -> "Iterator[pa.Table]":
    """Cut the tables of a source into pieces of 100 rows."""
    for table in tables:
        for start in range(0, table.num_rows, 100):
            yield pa.Table.from_batches([table.slice(start, 100)])
