"""MLflow logs a model without a look at every installed file, and without loading it again."""

import importlib.metadata
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.utils import requirements_utils
from sklearn.linear_model import LinearRegression

from everfit.tasks.registry.mlflow_checks import checked_by_name, example_untried
from everfit.tasks.registry.registration import MODEL_REQUIREMENTS


@pytest.fixture(autouse=True)
def _nothing_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements_utils, "_MODULES_TO_PACKAGES", None)
    monkeypatch.setattr(
        requirements_utils.importlib_metadata, "packages_distributions", lambda: pytest.fail("every file was read")
    )


def test_versions_are_compared_without_a_look_at_every_installed_file(caplog: pytest.LogCaptureFixture) -> None:
    right = [f"{name}=={importlib.metadata.version(name)}" for name in MODEL_REQUIREMENTS]
    with checked_by_name():
        requirements_utils.warn_dependency_requirement_mismatches(right)
        assert caplog.text == ""
        assert [requirements_utils._check_requirement_satisfied(line) for line in right] == [None] * len(right)
        assert "numpy (current:" in str(requirements_utils._check_requirement_satisfied("numpy==0.1"))
        assert "uninstalled" in str(requirements_utils._check_requirement_satisfied("no-such-package==1"))
    assert requirements_utils._MODULES_TO_PACKAGES is None  # whoever else logs a model finds MLflow as it was


def test_what_mlflow_has_read_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements_utils, "_MODULES_TO_PACKAGES", {"sklearn": ["scikit-learn"]})
    with checked_by_name():
        assert requirements_utils._MODULES_TO_PACKAGES == {"sklearn": ["scikit-learn"]}


@pytest.mark.slow
@pytest.mark.usefixtures("mlflow_uri")
def test_a_model_that_was_just_saved_is_not_loaded_to_try_its_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    load = mlflow.pyfunc.load_model
    monkeypatch.setattr(mlflow.pyfunc, "load_model", lambda uri, **given: loaded.append(uri) or load(uri, **given))
    rows = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
    given = {"pip_requirements": [], "serialization_format": "skops", "input_example": rows}
    model = LinearRegression().fit(rows, rows["x"])

    # Not in MLflow's first experiment, which keeps files in the folder where its tables were made.
    experiment = mlflow.MlflowClient().create_experiment("own", tmp_path.as_uri())

    with mlflow.start_run(experiment_id=experiment), checked_by_name():
        with example_untried():
            kept = mlflow.sklearn.log_model(model, name="model", **given)
        assert loaded == []
        mlflow.sklearn.log_model(model, name="model", **given)
        assert len(loaded) == 1  # whoever else logs a model finds MLflow as it was
        assert load(kept.model_uri).predict(rows).tolist() == pytest.approx([0, 1, 2])
