"""What the stories of the flows begin with."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from support.bootstrapping import MODEL, Server
from support.deliveries import SPEC, deliveries, write_month
from support.few_files import by_month
from support.prepared import copied, prepared, sources, working_in
from support.warm_popen import let_fork

from everfit.tasks.evaluation import plots
from everfit.tasks.monitoring.report import report_process


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures of a turn's report are files without content: to draw them takes an eighth of a turn.

    `tests/unit/evaluation/test_report.py` draws them all, and commands in processes of their own do.
    """
    monkeypatch.setattr(plots, "_png", lambda _: b"")


@pytest.fixture(autouse=True)
def _forked_painter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that draws drift reports is forked: to import Evidently takes longer than to draw."""
    let_fork(monkeypatch, report_process)


@pytest.fixture(autouse=True)
def _few_files() -> Iterator[None]:
    with by_month():
        yield


@pytest.fixture
def model(workspace: Path, mlflow_uri: str) -> str:
    """A spec file, and 60 days of deliveries from the first of January."""
    return _deliver(workspace.parent)


@pytest.fixture(scope="session")
def _promoted(prefect_server: None, _empty_mlflow: Path) -> Path:
    """The folder of `model` after its first turn, made once; stories begin with a copy."""
    from everfit.deployments.cli.runs import result_of
    from everfit.flows.training_flow import training

    def make(folder: Path) -> None:
        with working_in(folder, _empty_mlflow), by_month():
            model = _deliver(folder)
            turn = result_of(training(model, datetime(2024, 3, 1, tzinfo=UTC), return_state=True))
            assert turn["state"] == "Promoted"
            (folder / "first-turn.json").write_text(json.dumps(turn))

    return prepared("promoted", make, sources())


@pytest.fixture
def released(_promoted: Path, tmp_path: Path) -> Iterator[str]:
    """A spec file as `model`, whose first turn, until March, has released a champion."""
    with working_in(copied(_promoted, tmp_path / "released")):
        yield str(tmp_path / "released" / "deliveries.yaml")


@pytest.fixture
def first_turn(released: str) -> dict[str, Any]:
    """What the first turn of `released` said."""
    turn: dict[str, Any] = json.loads(Path(released).with_name("first-turn.json").read_text())
    return turn


@pytest.fixture(scope="session")
def _watched(prefect_server: None, _empty_mlflow: Path) -> Path:
    """The folder of a model with a champion as of March, made once; stories begin with a copy."""
    from support.watching import begin

    def make(folder: Path) -> None:
        with working_in(folder, _empty_mlflow), by_month():
            begin(folder)

    return prepared("watched", make, sources())


@pytest.fixture
def watched(_watched: Path, tmp_path: Path) -> Iterator[str]:
    """The same model in a folder of the test's own; nothing has asked it yet."""
    folder = copied(_watched, tmp_path / "watched")
    with working_in(folder):
        yield str(folder / "deliveries.yaml")


@pytest.fixture
def tried_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The serving check runs in this process and asks the service for a short time: that takes a tenth as long.

    `test_serving_check.py` starts the programs, and measures for as long as a turn does.
    """
    from everfit.infra.serving import capacity, check
    from everfit.tasks.evaluation import serving_check

    monkeypatch.setattr(serving_check, "_ask", check.check_version)
    monkeypatch.setattr(capacity, "_ROUNDS", 2)
    monkeypatch.setattr(capacity, "_SECONDS", 0.25)
    let_fork(monkeypatch, capacity)


def _deliver(folder: Path) -> str:
    write_month(folder, "winter", deliveries("2024-01-01", 60))
    path = folder / "deliveries.yaml"
    path.write_text(yaml.safe_dump(SPEC))
    return str(path)


@pytest.fixture
def server() -> Iterator[Server]:
    with get_client(sync_client=True) as prefect:
        found = Server(prefect)
        found.write()
        yield found
        for deployment in prefect.read_deployments():
            prefect.delete_deployment(deployment.id)
        for automation in prefect.read_automations():
            prefect.delete_automation(automation.id)
        for document in prefect.read_block_documents():
            if document.name == MODEL:
                prefect.delete_block_document(document.id)
        for name in ("everfit_specs", "everfit_services", "everfit_notification", "everfit_schedules"):
            if prefect.read_variable_by_name(name) is not None:
                prefect.delete_variable_by_name(name)
