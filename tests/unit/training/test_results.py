"""The models of a turn are read once, and never one that is not the file's."""

from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from support.training import UNTIL

from everfit.tasks.core.records import Window
from everfit.tasks.models.skops_format import dump_model
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.training import results
from everfit.tasks.training.results import Fitted, read_model


@pytest.fixture
def workspace_of(tmp_path: Path) -> Workspace:
    return Workspace(str(tmp_path))


def fitted_to(workspace: Workspace, path: str, cost: float) -> Fitted:
    pipeline: Pipeline = make_pipeline(LogisticRegression(C=cost)).fit([[0.0], [1.0]], [0, 1])
    workspace.write(path, dump_model(pipeline))
    window = Window(since=None, until=UNTIL)
    return Fitted(candidate="logistic_regression", path=path, rows=2, trained_on=window, features=("x",))


def test_a_model_that_was_read_lately_is_not_read_again_until_its_file_changes(
    workspace_of: Workspace, tmp_path: Path
) -> None:
    fitted = fitted_to(workspace_of, str(tmp_path / "model"), 1.0)
    first = read_model(fitted, workspace_of)

    assert read_model(fitted, workspace_of) is first
    fitted_to(workspace_of, str(tmp_path / "model"), 2.0)
    assert read_model(fitted, workspace_of)[-1].C == 2.0


def test_only_as_many_models_stay_as_are_small_together(
    workspace_of: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [fitted_to(workspace_of, str(tmp_path / f"model-{number}"), 1.0 + number) for number in range(3)]
    size = max(len(workspace_of.read(one.path)) for one in models)
    monkeypatch.setattr(results, "_MOST_BYTES", 2 * size)

    kept = [read_model(one, workspace_of) for one in models]
    assert read_model(models[2], workspace_of) is kept[2]
    assert read_model(models[0], workspace_of) is not kept[0]

    monkeypatch.setattr(results, "_MOST_BYTES", size // 2)
    assert read_model(models[1], workspace_of) is not read_model(models[1], workspace_of)
