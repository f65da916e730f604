"""A made-up table in every form in which rows come in, and a model of it."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.dummy import DummyClassifier
from support.turns import Loop

from everfit.blocks.settings import Settings
from everfit.infra.serving.servable import Servable
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.turns.context import Context

UNTIL, LATER = datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)

SPEC = {
    "task": "binary",
    "columns": {"key": ["id"], "event_time": "at", "target": "y"},
    "training": {"holdout": "1d"},
}

IDS: dict[str, Callable[[int], Any]] = {
    "numbers": lambda number: 1000 + number,
    "texts": lambda number: f"K-{number}",
    "digits and letters": lambda number: f"A{number}" if number % 3 == 0 else str(1000 + number),
    "leading zeros": lambda number: f"{number:05d}",
    "20 digits": lambda number: f"20240101{number:012d}",
    "18 digits": lambda number: 10**17 + number,
}

FEATURES: dict[str, Callable[[int], Any]] = {
    "price": lambda number: number / 4,
    "count": lambda number: number % 5,
    "member": lambda number: number % 2 == 0,
    "code": lambda number: ("10", "20", "A7")[number % 3],
    "zip": lambda number: ("01067", "80331")[number % 2],
    "shop": lambda number: ("North Pier", "Köln")[number % 2],
}

FORMATS = ["csv", "parquet", "jsonl", "sqlite"]

VERSION = {"model": "sales", "version": 1, "run_id": "", "trained_until": UNTIL, "snapshot_digest": ""}


def table_of(ids: str, features: list[str], rows: int) -> pd.DataFrame:
    at = pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC")
    columns: dict[str, Any] = {"id": [IDS[ids](number) for number in range(rows)], "at": at}
    columns |= {name: [FEATURES[name](number) for number in range(rows)] for name in features}
    return pd.DataFrame({**columns, "y": [number % 2 for number in range(rows)]})


def write(folder: Path, name: str, form: str, rows: pd.DataFrame) -> dict[str, Any]:
    """Write rows in a format, and return the source that reads them."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.{form}"
    if form == "csv":
        rows.to_csv(path, index=False)
    elif form == "parquet":
        rows.to_parquet(path, index=False)
    elif form == "jsonl":
        rows.assign(at=rows["at"].map(str)).to_json(path, orient="records", lines=True)
    else:
        with sqlite3.connect(path) as database:
            rows.assign(at=rows["at"].map(str)).to_sql("rows", database, index=False)
        database.close()
        return {"kind": "sql", "url": f"sqlite:///{path}", "table": "rows"}
    return {"kind": "files", "path": str(path)}


def context_of(loop: Loop) -> Context:
    return Context(loop.spec, Settings(workspace=loop.workspace.uri))


def servable_of(loop: Loop, key: Sequence[str] = ("id",), identity: Sequence[str] = ()) -> Servable:
    """A model of the dataset that everfit could have trained."""
    rows = loop.workspace.table("sales", "dataset").read()
    kinds = read_kinds(loop.workspace, "sales")
    features = [name for name in kinds if name not in {"id", "at", "y"}]
    inputs = InputSchema.of_frame(
        rows,
        task="binary",
        features=features,
        key=key,
        identity=identity,
        event_time="at",
        target="y",
        meanings=kinds,
    )
    classes = rows["y"].astype(int) if kinds["y"] in {"whole", "boolean"} else rows["y"]
    model = DummyClassifier(strategy="prior").fit(rows[features], classes)
    return Servable(ModelVersion.model_validate(VERSION), Scorer(model, inputs, 1))
