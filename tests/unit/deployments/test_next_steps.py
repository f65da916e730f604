"""A turn ends with where to look and what to do next, for each of its states."""

import re
from typing import Any

import pytest

from everfit.deployments.cli.commands import app
from everfit.deployments.cli.next_steps import next_steps
from everfit.tasks.turns.turn_record import (
    AWAITING_APPROVAL,
    CHAMPION_KEPT,
    DATA_REJECTED,
    NOTHING_NEW,
    ON_TRIAL,
    PROMOTED,
)


def a_turn(state: str, **changes: Any) -> dict[str, Any]:
    return {"turn_id": "t-1", "model": "loans", "state": state, "mlflow_run_id": "r", "champion": None, **changes}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (PROMOTED, "everfit score loans.yaml"),
        (AWAITING_APPROVAL, "everfit approve loans.yaml t-1"),
        (DATA_REJECTED, "everfit quarantine loans.yaml"),
        (ON_TRIAL, "everfit trial loans.yaml"),
        (CHAMPION_KEPT, "change what the reasons above name"),
        (NOTHING_NEW, "everfit history loans.yaml"),
    ],
)
def test_each_end_names_the_next_command_and_commands_exist(state: str, words: str) -> None:
    lines = next_steps(a_turn(state), "loans.yaml", "sqlite:///x.db")

    assert words in "\n".join(lines)
    assert lines[0] == "Look:  everfit explain t-1"
    assert lines[2] == f"State: {state}"
    assert "mlflow ui --backend-store-uri sqlite:///x.db, experiment loans" in lines[1]
    known = {
        command.name or command.callback.__name__
        for group in app.registered_groups
        for command in group.typer_instance.registered_commands
    }
    assert set(re.findall(r"everfit ([a-z]+)", "\n".join(lines))) <= known


def test_a_server_is_named_by_its_address_and_a_turn_without_a_run_names_none() -> None:
    assert "http://mlflow:5000, experiment loans" in next_steps(a_turn(PROMOTED), "loans", "http://mlflow:5000")[1]
    assert "mlflow" not in "\n".join(next_steps(a_turn(NOTHING_NEW, mlflow_run_id=None), "loans", "http://mlflow:5000"))
