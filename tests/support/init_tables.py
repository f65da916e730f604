"""Tables that `everfit init` is pointed at, and the spec that it makes."""

from typing import Any

import numpy as np
import pandas as pd

from everfit.deployments.init.init import init
from everfit.tasks.core.spec_loading import load_spec


def loans(rows: int = 2000) -> pd.DataFrame:
    random = np.random.default_rng(0)
    at = pd.Timestamp("2021-01-01") + pd.to_timedelta(np.arange(rows) * 6, unit="h")
    age = random.integers(18, 80, rows)
    late = (age + random.normal(0, 15, rows) > 50).astype(int)
    return pd.DataFrame(
        {
            "application_id": np.arange(rows),
            "applied_on": at.strftime("%d/%m/%Y %H:%M"),
            "closed_on": (at + pd.to_timedelta(random.integers(24, 480, rows), unit="h")).strftime("%d/%m/%Y %H:%M"),
            "year": at.year,
            "hour": at.hour,
            "sex": random.choice(["m", "f"], rows),
            "age": age,
            "income": [f"{value:,}" for value in random.integers(1000, 90_000, rows)],
            "always": "x",
            "nothing": None,
            "status": late * 7,
            "comment": [f"What was said about number {number} is a sentence or two" for number in range(rows)],
            "default": np.where(late == 1, "yes", "no"),
        }
    )


def made(frame: pd.DataFrame, target: str, **options: Any) -> dict[str, Any]:
    frame.to_csv("data.csv", index=False)
    found = init("data.csv", target, force=True, **options)
    load_spec(found["path"])
    return found
