"""What the stories of the flows begin with."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.deliveries import SPEC, deliveries, write_month
from support.prepared import copied, prepared, sources, working_in


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
        with working_in(folder, _empty_mlflow):
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


def _deliver(folder: Path) -> str:
    write_month(folder, "winter", deliveries("2024-01-01", 60))
    path = folder / "deliveries.yaml"
    path.write_text(yaml.safe_dump(SPEC))
    return str(path)
