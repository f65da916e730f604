"""A workspace has the number of its format: an older one is migrated, and a newer one is refused and left alone."""

import json
from pathlib import Path

import pytest
from support.deliveries import SPEC

from everfit.blocks.errors import WorkspaceError
from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.storage import workspace_format
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.storage.workspace_format import FORMAT, FORMAT_FILE
from everfit.tasks.turns.context import Context


def stored(folder: Path) -> int:
    found: int = json.loads((folder / FORMAT_FILE).read_text())["format"]
    return found


def test_a_workspace_without_a_number_is_migrated_and_a_missing_one_is_not_made(tmp_path: Path) -> None:
    Workspace.of(Settings(workspace=str(tmp_path / "none")))
    assert not (tmp_path / "none").exists()

    (tmp_path / "old").mkdir()
    for _ in range(2):
        Workspace.of(Settings(workspace=str(tmp_path / "old")))
        assert stored(tmp_path / "old") == FORMAT


def test_the_steps_after_the_stored_format_are_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    steps = tuple(lambda _, number=number: taken.append(number) for number in range(3))
    monkeypatch.setattr(workspace_format, "MIGRATIONS", steps)
    monkeypatch.setattr(workspace_format, "FORMAT", 3)
    (tmp_path / FORMAT_FILE).write_text(json.dumps({"format": 1}))

    for _ in range(2):
        Workspace.of(Settings(workspace=str(tmp_path)))
    assert (taken, stored(tmp_path)) == ([1, 2], 3)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"format": 99}', f"has the format 99, newer than this everfit knows \\({FORMAT}\\); upgrade everfit here"),
        ('{"format": "x"}', "has the format 'x'"),
        ("torn", "doesn't name the workspace's format; restore it from a backup"),
    ],
)
def test_a_newer_workspace_is_refused_in_one_sentence(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / FORMAT_FILE).write_text(content)

    with pytest.raises(WorkspaceError, match=says) as caught:
        Workspace.of(Settings(workspace=str(tmp_path)))
    with pytest.raises(WorkspaceError, match=says):  # also for what needs the ledger alone, such as a rollback
        _ = Context(ModelSpec.model_validate(SPEC), Settings(workspace=str(tmp_path))).ledger
    assert "\n" not in str(caught.value)
    assert (tmp_path / FORMAT_FILE).read_text() == content
