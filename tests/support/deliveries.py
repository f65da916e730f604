"""A small model whose truth is known: deliveries that are late more often the farther they go."""

from pathlib import Path

import numpy as np
import pandas as pd

SPEC = {
    "name": "deliveries",
    "task": "binary",
    "source": {"kind": "files", "path": "deliveries/*.csv"},
    "columns": {"key": ["id"], "event_time": "sent_at", "label_time": "known_at", "target": "late"},
    "maturity": "1d",
    "training": {"holdout": "14d", "candidates": ["logistic_regression"]},
}


def deliveries(since: str, days: int, seed: int = 0, strength: float = 3.0) -> pd.DataFrame:
    """40 deliveries a day; `strength` says how much the distance tells about being late."""
    random = np.random.default_rng(seed)
    rows = 40 * days
    sent_at = pd.Timestamp(since, tz="UTC") + pd.to_timedelta(np.sort(random.uniform(0, days, rows)), unit="D")
    distance = random.uniform(0, 10, rows).round(3)
    region = random.choice(["north", "south", "west"], rows)
    chance = 1 / (1 + np.exp(-strength * (distance / 5 - 1) - (region == "north")))
    return pd.DataFrame(
        {
            "id": [f"{since}-{number}" for number in range(rows)],
            "sent_at": sent_at.floor("s"),
            "known_at": (sent_at + pd.to_timedelta(random.uniform(1, 20, rows), unit="h")).floor("s"),
            "distance": distance,
            "region": region,
            "late": random.uniform(size=rows) < chance,
        }
    )


def write_month(folder: Path, name: str, frame: pd.DataFrame) -> None:
    path = folder / "deliveries" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    frame.to_csv(path, index=False)
