"""MLflow checks a model's requirements by their names, without a look at every installed file."""

import importlib.metadata

import pytest
from mlflow.utils import requirements_utils

from everfit.tasks.registry.mlflow_requirements import checked_by_name
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
