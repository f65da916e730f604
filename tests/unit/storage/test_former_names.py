"""A service finds a model that was renamed while it ran."""

from pathlib import Path

import pytest

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.storage.former_names import forget_former_name, former_names, note_renaming, present_name
from everfit.tasks.storage.workspace import Workspace


@pytest.fixture(name="there")
def _there(tmp_path: Path) -> Workspace:
    return Workspace(str(tmp_path))


def test_a_model_is_found_through_each_of_its_names(there: Workspace) -> None:
    assert (present_name(there, "flights"), former_names(there, "flights")) == ("flights", [])
    note_renaming(there, "flights", "departures", moved=True)
    note_renaming(there, "departures", "take-offs", moved=True)
    assert [present_name(there, name) for name in ("flights", "departures", "take-offs")] == ["take-offs"] * 3
    assert former_names(there, "take-offs") == ["departures", "flights"]


def test_a_model_that_gets_its_first_name_back_is_found(there: Workspace) -> None:
    note_renaming(there, "flights", "departures", moved=True)
    note_renaming(there, "departures", "flights", moved=True)
    assert [present_name(there, name) for name in ("flights", "departures")] == ["flights"] * 2


def test_a_new_model_may_have_the_former_name_of_another(there: Workspace) -> None:
    note_renaming(there, "flights", "departures", moved=True)
    forget_former_name(there, "flights")
    forget_former_name(there, "flights")
    assert present_name(there, "flights") == "flights"


def test_while_files_move_nobody_is_told_a_name(there: Workspace) -> None:
    note_renaming(there, "flights", "departures", moved=False)
    with pytest.raises(WorkspaceError, match="'flights' is being renamed to 'departures'"):
        present_name(there, "flights")
    assert former_names(there, "departures") == []


def test_a_note_that_can_not_be_read_is_no_name(there: Workspace, tmp_path: Path) -> None:
    note_renaming(there, "flights", "departures", moved=True)
    (tmp_path / "_renamed" / "flights.json").write_text("{")
    with pytest.raises(WorkspaceError, match="doesn't say how the model is called"):
        present_name(there, "flights")
