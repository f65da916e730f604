"""Make a small model to try the examples with: `deliveries.yaml`, and 60 days of deliveries in `deliveries/winter.csv`.

python deliveries.py
"""

from pathlib import Path

import numpy as np
import pandas as pd

SPEC = """\
name: deliveries
task: binary
source: {kind: files, path: "deliveries/*.csv"}
columns: {key: [id], event_time: sent_at, label_time: known_at, target: late}
maturity: 1d
training: {holdout: 14d, candidates: [logistic_regression]}
"""


def deliveries(since: str, days: int, seed: int = 0) -> pd.DataFrame:
    """40 deliveries a day, which are late more often the farther they go."""
    random = np.random.default_rng(seed)
    rows = 40 * days
    sent_at = pd.Timestamp(since, tz="UTC") + pd.to_timedelta(np.sort(random.uniform(0, days, rows)), unit="D")
    distance = random.uniform(0, 10, rows).round(3)
    chance = 1 / (1 + np.exp(3 - 0.6 * distance))
    return pd.DataFrame(
        {
            "id": [f"{since}-{number}" for number in range(rows)],
            "sent_at": sent_at.floor("s"),
            "known_at": (sent_at + pd.to_timedelta(random.uniform(1, 20, rows), unit="h")).floor("s"),
            "distance": distance,
            "late": random.uniform(size=rows) < chance,
        }
    )


if __name__ == "__main__":
    Path("deliveries.yaml").write_text(SPEC)
    Path("deliveries").mkdir(exist_ok=True)
    deliveries("2024-01-01", 60).to_csv("deliveries/winter.csv", index=False)
