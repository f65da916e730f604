"""A prediction log and labels in real tables, without a model behind them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from everfit.tasks.predictions import label_recording, labels, prediction_ids, prediction_log
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.tables import Table

FEATURES = {"distance": "double", "region": "string"}
EVENT_TIME = "sent_at"


def answered(since: str, rows: int = 300, seed: int = 0, days: float = 7) -> pd.DataFrame:
    """Rows with a score that is calibrated, and their labels a day later."""
    random = np.random.default_rng(seed)
    at = pd.Timestamp(since, tz="UTC") + pd.to_timedelta(np.sort(random.uniform(0, days, rows)), unit="D")
    score = random.uniform(size=rows)
    return pd.DataFrame(
        {
            "id": [f"{since}-{number}" for number in range(rows)],
            EVENT_TIME: at.floor("us").as_unit("us"),
            "distance": random.uniform(0, 10, rows),
            "region": random.choice(["north", "south"], rows),
            "score": score,
            "label": (random.uniform(size=rows) < score).astype(int),
            "known_at": (at + pd.Timedelta("1D")).floor("us").as_unit("us"),
        }
    )


def log_answers(
    folder: Path,
    rows: pd.DataFrame,
    version: int = 1,
    arm: str = "champion",
    predicted_at: "str | pd.Series[pd.Timestamp] | None" = None,
    client: str | None = None,
) -> Table:
    """Put rows into the prediction log, as if a version had given their scores at a moment, or each at its own."""
    table, count = Table(str(folder / "predictions")), len(rows)
    kinds = {"id": "string", **FEATURES, EVENT_TIME: "datetime"}
    kinds |= {"_prediction_id": "string", "_predicted_at": "datetime", "_prediction": "string", "_score": "double"}
    kinds |= {"_model_version": "long", "_arm": "string", "_latency_ms": "double", "_outlier": "double"}
    moments = predicted_at
    if not isinstance(moments, pd.Series):
        moments = pd.Series([pd.Timestamp(moments or "2024-01-01", tz="UTC")] * count)
    columns: dict[str, Any] = {
        **{name: rows[name] for name in ("id", *FEATURES, EVENT_TIME)},
        "_prediction_id": prediction_ids.new_ids(version, count),
        "_predicted_at": moments.dt.as_unit("us"),
        "_prediction": [str(int(score > 0.5)) for score in rows["score"]],
        "_score": rows["score"],
        "_model_version": [version] * count,
        "_arm": [arm] * count,
        "_latency_ms": np.arange(count, dtype=float),
        "_outlier": np.linspace(0, 1, count),
    }
    if client is not None:
        kinds |= {"_client": "string"}
        columns["_client"] = [client] * count
    writer = f"{version}-{arm}-{rows['id'].iloc[0]}-{moments.iloc[0]}"
    prediction_log.append(table, prediction_log.to_rows(columns, kinds, ["id"], EVENT_TIME), writer)
    return table


def log_labels(folder: Path, rows: pd.DataFrame) -> Table:
    """Put the rows' labels into the table of labels."""
    table = Table(str(folder / "labels"))
    label_recording.record_labels(
        table, labels.label_rows(row_keys(rows, ["id"]), rows["label"], rows["known_at"], "binary", "test")
    )
    return table
