"""Real parts that several integration tests ask for."""

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.chromium import CHROMIUM, FLAGS
from support.processes import forked


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def scheduler(workspace: Path, mlflow_uri: str) -> Iterator[str]:
    """A scheduler and two worker processes with the workspace of a test, which are forked from a warm one."""
    with _cluster() as address:
        yield address


@pytest.fixture(scope="module")
def shared_scheduler() -> Iterator[str]:
    """A scheduler and two worker processes for tests that name each folder."""
    with _cluster() as address:
        yield address


@contextmanager
def _cluster() -> Iterator[str]:
    import distributed.nanny
    import distributed.process

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed.nanny, "get_mp_context", lambda: forked)
        patch.setattr(distributed.process, "get_mp_context", lambda: forked)
        with distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port: others may have a cluster too
            env=dict(os.environ),  # the warm process has that of whoever was forked first
        ) as cluster:
            yield cluster.scheduler_address
