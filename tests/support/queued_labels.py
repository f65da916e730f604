"""Flights that a champion has answered, of which few have a label, and queues of those to be labelled by hand."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd

from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.batch import label_queue, manual_files
from everfit.tasks.turns.context import Context

UNTIL = datetime(2013, 10, 12, tzinfo=UTC)
CLASSES = ["0", "1"]


def answered_flights(registry: Any, rows: pd.DataFrame) -> Context:
    """Return a champion that has answered 2000 flights, and a source in which the first ten have come true."""
    registry.champion("delays", registry.add("delays", "first"))
    rows.to_parquet("answered.parquet")
    known = rows.assign(late=pd.array([1, 0] * 1000, dtype="Int64"))
    known.loc[10:, "late"] = pd.NA
    known.head(20).to_csv("flights.csv", index=False)
    spec = ModelSpec.model_validate(
        {
            "name": "delays",
            "task": "binary",
            "source": {"kind": "files", "path": "flights.csv"},
            "columns": {"key": ["flight"], "event_time": "departs", "target": "late"},
        }
    )
    made = Context(spec, Settings())
    manual_files.score_file(made, "answered.parquet")
    return made


def make(context: Context, count: int = 100, **given: Any) -> Any:
    until = given.pop("until", UNTIL)
    basis = label_queue.Basis(1, tuple(CLASSES), **given)
    return label_queue.make_queue(context, until, count, since=datetime(2013, 10, 1, tzinfo=UTC), basis=basis)


def with_queue(context: Context, **policy: Any) -> Context:
    content = {**context.spec.content(), "monitoring": {"label_queue": policy}}
    return Context(ModelSpec.model_validate(content), context.settings)
