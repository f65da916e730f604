"""A registry with a small model of mixed columns, and a service that runs beside the test."""

import contextlib
import json
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
import uvicorn
from support.prepared import prepared
from support.prepared import sources as code

from everfit.blocks.serving import ServingPolicy
from everfit.blocks.settings import Settings
from everfit.infra.serving.connections import LimitedProtocol
from everfit.tasks.models.input_schema import InputSchema

FEATURES = ["distance", "wind", "seats", "carrier", "freight"]


def flights(rows: int, seed: int = 0) -> pd.DataFrame:
    """Made-up flights: numbers (some missing), whole numbers, categories, booleans."""
    random = np.random.default_rng(seed)
    wind = random.normal(10, 4, rows)
    wind[::9] = np.nan
    return pd.DataFrame(
        {
            "distance": random.uniform(100, 3000, rows),
            "wind": wind,
            "seats": random.integers(50, 400, rows),
            "carrier": pd.array(random.choice(["AA", "B6", "UA"], rows), dtype="str"),
            "freight": random.random(rows) < 0.2,
            "flight": np.arange(rows),
            "departs": pd.date_range("2013-10-01", periods=rows, freq="7min", tz="UTC"),
        }
    )


def save(folder: Path, task: str, seed: int, *, described: bool = True, kept_as: str = "skops") -> str:
    """Save a fitted pipeline as MLflow does; gives its URI."""
    import mlflow
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    from everfit.tasks.models.skops_format import dump_model, trusted_types

    rows = flights(400, seed)
    signal = rows["distance"] / 3000 + rows["wind"].fillna(10) / 20 + (rows["carrier"] == "B6")
    target = {
        "binary": (signal > signal.median()).astype(int),
        "multiclass": pd.qcut(signal, 3, labels=["early", "late", "on time"]).astype("str"),
        "regression": signal,
    }[task]
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    estimator = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    pipeline = Pipeline(
        [
            ("columns", ColumnTransformer([("codes", codes, ["carrier"])], remainder="passthrough")),
            ("estimator", estimator(max_iter=10, random_state=seed)),
        ]
    ).fit(rows[FEATURES], target)
    schema = InputSchema.of_frame(rows, task=task, features=FEATURES, key=["flight"], event_time="departs")  # type: ignore[arg-type]
    path = folder / f"{task}-{seed}-{kept_as}-{described}"
    trusted = {"skops_trusted_types": trusted_types(dump_model(pipeline))} if kept_as == "skops" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of whole numbers and of pickles
        mlflow.sklearn.save_model(
            pipeline,
            path,
            serialization_format=kept_as,
            signature=mlflow.models.infer_signature(rows[FEATURES], pipeline.predict(rows[FEATURES])),
            input_example=rows[FEATURES].head(5),
            pip_requirements=["scikit-learn"],
            metadata=schema.metadata() if described else None,
            **trusted,
        )
    return path.as_uri()


@pytest.fixture(scope="session")
def sources() -> dict[str, str]:
    """Saved models, by name. Tests change copies of them."""
    models: dict[str, dict[str, Any]] = {
        "first": {"task": "binary", "seed": 0},
        "second": {"task": "binary", "seed": 1},
        "pickle": {"task": "binary", "seed": 0, "kept_as": "cloudpickle"},
        "plain": {"task": "binary", "seed": 0, "described": False},
        "multiclass": {"task": "multiclass", "seed": 0},
        "regression": {"task": "regression", "seed": 0},
    }

    def make(folder: Path) -> None:
        saved = {name: save(folder, **model) for name, model in models.items()}
        (folder / "sources.json").write_text(json.dumps(saved))

    folder = prepared("serving", make, code(), Path(__file__).read_text())
    return dict(json.loads((folder / "sources.json").read_text()))


@dataclass
class Registry:
    """An MLflow with models whose versions the test decides on."""

    client: Any
    sources: dict[str, str]

    def add(self, model: str, source: str) -> int:
        """Register a version."""
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):
            self.client.create_registered_model(model)
        return int(self.client.create_model_version(model, self.sources[source]).version)

    def champion(self, model: str, version: int) -> None:
        """Let the champion alias name a version."""
        self.client.set_registered_model_alias(model, "champion", str(version))


@pytest.fixture
def registry(mlflow_uri: str, sources: dict[str, str]) -> Registry:
    from mlflow import MlflowClient

    return Registry(MlflowClient(tracking_uri=mlflow_uri), sources)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(name="free_port")
def _free_port() -> int:
    return free_port()


@pytest.fixture
def made_up() -> Callable[[int], pd.DataFrame]:
    """Makes flights up."""
    return flights


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.01)


@pytest.fixture
def until() -> Callable[..., None]:
    """Waits until a condition holds."""
    return wait_for


@dataclass
class Running:
    """A service that runs in a thread."""

    url: str
    server: uvicorn.Server
    thread: threading.Thread
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=20, headers={"content-type": "application/json"})

    def stop(self) -> None:
        """Drain and end, as SIGTERM does."""
        self.client.close()
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()


Serve = Callable[..., Running]


@pytest.fixture
def serve(workspace: Path) -> Iterator[Serve]:
    """Starts services in this process."""
    from everfit.infra.serving.server import build_app

    running: list[Running] = []

    def start(*models: str, tokens: Path | None = None, ready: bool = True, **policy: Any) -> Running:
        given = ServingPolicy.model_validate({"follow_every": "0.05s", "drain_every": "0.1s", **policy})
        app = build_app(list(models), dict.fromkeys(models, given), tokens, Settings())
        port = free_port()
        server = uvicorn.Server(
            uvicorn.Config(
                app, host="127.0.0.1", port=port, log_level="warning", access_log=False, http=LimitedProtocol
            )
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        one = Running(f"http://127.0.0.1:{port}", server, thread)
        running.append(one)
        wait_for(lambda: server.started or not thread.is_alive())
        if ready:
            wait_for(lambda: one.client.get("/health").status_code == 200)
        return one

    yield start
    for one in running:
        if one.thread.is_alive():
            one.stop()


def record(row: int = 1) -> dict[str, Any]:
    """A good record."""
    one = flights(row + 1).iloc[row]
    wind = None if np.isnan(one["wind"]) else float(one["wind"])
    return {
        "distance": float(one["distance"]),
        "wind": wind,
        "seats": int(one["seats"]),
        "carrier": str(one["carrier"]),
        "freight": bool(one["freight"]),
    }


@pytest.fixture(scope="session")
def good() -> dict[str, Any]:
    return record()
