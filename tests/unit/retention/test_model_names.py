"""A model is renamed or retired: its history stays, and nothing else is touched."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mlflow import MlflowClient

from everfit.blocks.errors import SpecError, WorkspaceError
from everfit.deployments.cli.model_names import model_name
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.model_names import known_models, name_changes
from everfit.tasks.pages.writing import write_model, write_overview
from everfit.tasks.registry import model_registry
from everfit.tasks.retention.renaming import Renaming, rename_model
from everfit.tasks.retention.retirement import Retirement, retire_model
from everfit.tasks.storage.former_names import present_name
from everfit.tasks.storage.workspace import Workspace

UNTIL = datetime(2026, 3, 1, tzinfo=UTC)


class Installation:
    """A ledger, a workspace and an MLflow with two models, `old` and `other`."""

    def __init__(self, folder: Path, mlflow: Path) -> None:
        shutil.copy(mlflow, folder / "mlflow.db")
        self.ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}")
        self.workspace = Workspace(str(folder / "workspace"))
        self.client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
        for model in ("old", "other"):
            with self.ledger.turns.take(model, Trigger(), Window(until=UNTIL)) as turn:
                fitted = self.workspace.turn_file(model, turn.id, "model.skops")
                self.workspace.write(fitted, b"a model")
                self.ledger.turns.finish(
                    turn, state="Promoted", verdict="promote", reasons=["good"], record={"file": fitted}
                )
            experiment = self.client.create_experiment(model)
            run = self.client.create_run(experiment).info.run_id
            self.client.create_registered_model(model)
            self.client.create_model_version(model, str(folder / "model"), run)
            self.client.set_registered_model_alias(model, "champion", "1")

    def rename(self, old: str, new: str) -> None:
        change = Renaming(old=old, new=new, by="ann", reason="a better word")
        rename_model(change, ledger=self.ledger, workspace=self.workspace, client=self.client)

    def retire(self, model: str, *, delete: bool) -> None:
        retirement = Retirement(model=model, by="ann", reason="nobody uses it", deleted_data=delete)
        retire_model(retirement, ledger=self.ledger, workspace=self.workspace, client=self.client)


@pytest.fixture
def here(tmp_path: Path, _empty_mlflow: Path) -> Installation:
    return Installation(tmp_path, _empty_mlflow)


def test_a_renamed_model_keeps_its_turns_files_versions_and_runs(here: Installation) -> None:
    before = here.ledger.turns.of("old")[0]
    other = here.ledger.turns.of("other")[0]

    here.rename("old", "new")

    turn = here.ledger.turns.of("new")[0]
    assert (turn.id, turn.reasons, known_models(here.ledger)) == (before.id, before.reasons, {"new", "other"})
    assert here.workspace.read(turn.record["file"]) == b"a model"
    champion = model_registry.champion(here.client, "new")
    assert champion is not None
    assert champion.version == 1
    assert here.client.get_experiment_by_name("new") is not None
    assert here.ledger.turns.of("other")[0] == other
    assert name_changes(here.ledger, "new")[0].reasons == ("renamed from old to new by ann: a better word",)
    with pytest.raises(SpecError, match="was renamed to 'new'"):
        model_name("old", here.ledger)


def test_the_page_of_a_renamed_model_has_the_new_name(here: Installation) -> None:
    rows = {name: write_model(here.ledger, here.workspace, name) for name in ("old", "other")}
    write_overview(here.ledger, here.workspace, rows)

    here.rename("old", "new")

    pages = Path(here.workspace.file("pages"))
    assert sorted(path.name for path in pages.iterdir() if path.is_dir()) == ["new", "other"]
    assert "<h1>new " in (pages / "new" / "index.html").read_text()
    assert '"old"' not in (pages / "index.json").read_text()


def test_an_interrupted_renaming_is_completed_by_the_next(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, "rename_experiment", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            here.rename("old", "new")
    assert here.ledger.turns.of("old")

    here.rename("old", "new")

    assert known_models(here.ledger) == {"new", "other"}
    assert here.workspace.read(here.ledger.turns.of("new")[0].record["file"]) == b"a model"
    assert len(name_changes(here.ledger, "new")) == 1


def test_a_renaming_that_was_interrupted_after_the_ledger_is_completed_too(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Services keep their rows until the note says that the files have moved."""
    with monkeypatch.context() as broken:
        broken.setattr(Workspace, "delete_folder", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            here.rename("old", "new")
    assert known_models(here.ledger) == {"new", "other"}
    with pytest.raises(WorkspaceError, match="is being renamed"):
        present_name(here.workspace, "old")

    here.rename("old", "new")

    assert present_name(here.workspace, "old") == "new"
    assert len(name_changes(here.ledger, "new")) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("old", "other", "there is a model 'other' already"), ("nobody", "new", "there is no model 'nobody'")],
)
def test_a_name_that_is_taken_or_unknown_is_refused(here: Installation, old: str, new: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        here.rename(old, new)
    assert known_models(here.ledger) == {"old", "other"}


@pytest.mark.slow
@pytest.mark.parametrize("delete", [False, True])
def test_a_retired_models_history_stays_and_its_data_if_not_deleted(here: Installation, *, delete: bool) -> None:
    turn = here.ledger.turns.of("old")[0]

    here.retire("old", delete=delete)

    assert here.ledger.turns.of("old") == [turn]
    assert name_changes(here.ledger, "old")[0].reasons[0].startswith("retired by ann: nobody uses it")
    assert here.workspace.exists(here.workspace.file("old")) is not delete
    assert ("old" in model_registry.names(here.client)) is not delete
    assert model_registry.names(here.client)[-1] == "other"
    assert here.workspace.exists(here.workspace.file("other"))


def test_the_data_of_a_retired_model_is_deleted_under_its_former_name_and_on_its_page_too(here: Installation) -> None:
    here.rename("old", "new")
    late = here.workspace.file("old", "predictions", "part.parquet")  # of a service that ran on
    story = here.workspace.file("pages", "new", "prediction", "one.html")
    for path in (late, story):
        here.workspace.write(path, b"a row of data")

    here.retire("new", delete=True)

    assert not here.workspace.exists(late)
    assert not here.workspace.exists(story)
    assert here.workspace.exists(here.workspace.file("other"))
    page = here.workspace.read(here.workspace.file("pages", "new", "index.html")).decode()
    assert "retired by ann" in page


@pytest.mark.slow
def test_a_former_name_that_another_model_has_now_keeps_its_data(here: Installation) -> None:
    here.rename("old", "new")
    here.rename("other", "old")

    here.retire("new", delete=True)

    assert here.workspace.exists(here.workspace.file("old"))
