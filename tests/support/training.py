"""Rows in a real dataset, ready to train on, without a flow around them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from everfit.blocks.spec import ModelSpec
from everfit.tasks.data.commit import take_snapshot
from everfit.tasks.data.cut import split_window
from everfit.tasks.data.split import TrainingData
from everfit.tasks.storage.row_hashes import row_hashes, row_keys
from everfit.tasks.storage.tables import CONTENT, DAY, KEY, TURN
from everfit.tasks.storage.workspace import Workspace

SINCE = datetime(2024, 1, 1, tzinfo=UTC)
UNTIL = datetime(2024, 3, 1, tzinfo=UTC)


def a_spec(task: str = "binary", columns: dict[str, Any] | None = None, **parts: Any) -> ModelSpec:
    """A spec over the columns of `rows_of`."""
    roles = {"key": ["id"], "event_time": "at", "label_time": "known_at", "target": "y", **(columns or {})}
    content = {"name": "small", "task": task, "source": {"kind": "files", "path": "none"}, "columns": roles}
    training = {"candidates": ["ridge" if task == "regression" else "logistic_regression"]} | parts.pop("training", {})
    return ModelSpec.model_validate({**content, "training": training, **parts})


def rows_of(task: str = "binary", rows: int = 900, seed: int = 0) -> pd.DataFrame:
    """Rows over 60 days whose label hangs on `x`, a little on `color`, and not on `noise`."""
    random = np.random.default_rng(seed)
    at = pd.Timestamp(SINCE) + pd.to_timedelta(np.sort(random.uniform(0, 60, rows)), unit="D")
    x, color = random.normal(size=rows), random.choice(["blue", "green", "red"], rows)
    signal = 1.5 * x + (color == "red") + random.normal(size=rows)
    y = {
        "binary": (signal > 0.5).astype(float),
        "multiclass": np.array(["cold", "mild", "warm"], dtype=object)[np.digitize(signal, [-0.5, 1.0])],
        "regression": signal,
    }[task]
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "at": at.as_unit("us"),
            "known_at": (at + pd.Timedelta("12h")).as_unit("us"),
            "x": x,
            "noise": random.normal(size=rows),
            "color": pd.array(color, dtype="str"),
            "group": pd.array(random.choice(["a", "b"], rows), dtype="str"),
            "y": pd.array(y, dtype="str") if task == "multiclass" else y,
        }
    )


def data_of(spec: ModelSpec, rows: pd.DataFrame, folder: Path, until: datetime = UNTIL) -> TrainingData:
    """The rows in a dataset of a workspace, cut as a turn cuts them."""
    workspace = Workspace(str(folder))
    frame = rows.assign(
        **{
            KEY: row_keys(rows, spec.columns.key),
            CONTENT: row_hashes(rows, list(rows.columns)),
            DAY: rows["at"].dt.date,
            TURN: "t",
        }
    )
    table = workspace.table(spec.name, "dataset")
    table.create(pa.Schema.from_pandas(frame, preserve_index=False).remove_metadata(), "month")  # few files to read
    table.append(frame, f"{len(rows)}")
    split = split_window(spec, until)
    return TrainingData(spec, take_snapshot(spec, split.whole, workspace), split, until, workspace)
