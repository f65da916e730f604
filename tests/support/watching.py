"""Deliveries that are predicted and looked at, fortnight by fortnight."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from support.deliveries import SPEC, deliveries, write_month

from everfit.blocks.settings import Settings
from everfit.deployments.cli.runs import result_of
from everfit.flows.scoring_flow import scoring
from everfit.flows.training_flow import training
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.turns.context import Context

MARCH = datetime(2024, 3, 1, tzinfo=UTC)
FORTNIGHT = timedelta(days=14)
WATCHED = {
    "monitoring": {"window": "14d", "persistence": 1, "persistence_windows": 1, "report": "never"},
    "retraining": {"cadence": "never"},  # of these stories each is about one look
}


def rows(since: datetime, seed: int, strength: float = 3.0) -> pd.DataFrame:
    """A fortnight of deliveries that also have a weight, of which nothing depends."""
    days = 60 if since < MARCH else 14
    frame = deliveries(f"{since:%Y-%m-%d}", days, seed=seed, strength=strength)
    return frame.assign(weight=np.random.default_rng(seed).normal(size=len(frame)).round(4))


def window_of(number: int) -> tuple[datetime, datetime]:
    """The first fortnight of the world has the number 0; each story has one of its own, a later one than the last."""
    return MARCH + number * FORTNIGHT, MARCH + (number + 1) * FORTNIGHT


def run(flow: Any, *arguments: Any) -> dict[str, Any]:
    return result_of(flow(*arguments, return_state=True))


def live(model: str, number: int, frame: pd.DataFrame | None = None) -> datetime:
    """Let a fortnight pass: its rows come in and are predicted."""
    since, until = window_of(number)
    write_month(Path(model).parent, f"window-{number:02}", rows(since, number) if frame is None else frame)
    run(scoring, model, since, until)
    return until


def begin(folder: Path, **changes: Any) -> str:
    write_month(folder, "winter", rows(datetime(2024, 1, 1, tzinfo=UTC), 99))
    path = folder / "deliveries.yaml"
    path.write_text(yaml.safe_dump(SPEC | WATCHED | changes))
    assert run(training, str(path), MARCH)["state"] == "Promoted"
    return str(path)


def with_spec(model: str, **changes: Any) -> str:
    """Change the spec of a model that is watched already."""
    Path(model).write_text(yaml.safe_dump(SPEC | WATCHED | changes))
    return model


def context(model: str) -> Context:
    return Context(load_spec(model), Settings())
