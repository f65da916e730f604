"""A turn whose candidates are tried on the workers of a Dask scheduler, to the same result as in threads."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterName
from prefect.settings import PREFECT_API_URL
from support.deliveries import SPEC, deliveries, write_month
from support.processes import Commands
from support.stack import wait_for

from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings
from everfit.tasks.core.cluster import ADDRESS, RUNNER
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.data.split import TrainingData
from everfit.tasks.steps.task_runners import task_runner
from everfit.tasks.training import train
from everfit.tasks.training.results import CandidateResult
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.reproduction import reproduce
from everfit.tasks.turns.turn_record import TurnRecord

pytest.importorskip("prefect_dask")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_a_turn_on_workers_finds_what_it_finds_in_threads(
    scheduler: str, prefect_server: None, workspace: Path, mlflow_uri: str
) -> None:
    """Given a scheduler, when a turn is run on it, then each try and the model itself come out as in this process.

    Both candidates are searched on folds at once, each setting by a task of its own on one of the workers.
    """
    write_month(workspace.parent, "winter", deliveries("2024-01-01", 60))
    candidates = ["logistic_regression", "random_forest"]
    search = {"trials": 8, "at_once": 3, "spaces": {"random_forest": {"n_estimators": {"low": 5, "high": 20}}}}
    training = SPEC["training"] | {"candidates": candidates, "search": search, "folds": 2}  # type: ignore[operator]
    Path("deliveries.yaml").write_text(yaml.safe_dump(SPEC | {"training": training}))
    server = PREFECT_API_URL.value()
    assert server is not None
    command = ["train", "deliveries.yaml", "--until", "2024-03-01", "--json"]
    given = os.environ | {RUNNER: "dask", ADDRESS: scheduler, "PREFECT_API_URL": server}

    [(code, printed, errors)] = Commands(command, environment=given).said(240)

    assert code == 0, errors
    turn = json.loads(printed)
    assert turn["state"] == "Promoted"
    here = Context(load_spec("deliveries.yaml"), Settings())
    settled = here.ledger.turns.get(turn["turn_id"])
    record = TurnRecord.model_validate(settled.record)
    assert record.snapshot is not None
    assert record.split is not None
    data = TrainingData(here.spec, record.snapshot, record.split, settled.window.until, here.workspace)
    assert facts(record.candidates) == facts(
        [train.try_candidate(data, candidate.candidate) for candidate in record.candidates]
    )
    assert all(candidate.error == "" and len(candidate.tries) == 8 for candidate in record.candidates)
    assert any(one.pruned for candidate in record.candidates for one in candidate.tries)
    expected = {f"try-{name}-{number}" for name in candidates for number in range(1, 9)}
    expected |= {f"try-{name}" for name in candidates}
    named = TaskRunFilter(name=TaskRunFilterName(any_=sorted(expected)))  # one answer holds 200 runs of the server's

    def all_completed() -> bool:
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(task_run_filter=named)
        return {run.name for run in runs if run.state is not None and run.state.is_completed()} == expected

    wait_for(all_completed, 60)  # the server learns of a state by an event, which may come after the turn's end
    assert reproduce(here.workspace, "deliveries", settled.id).differences == ()


def facts(trials: Iterable[CandidateResult]) -> list[object]:
    return [
        (trial.candidate, trial.score, trial.setting, [(t.folds, t.pruned) for t in trial.tries]) for trial in trials
    ]


def test_an_unknown_runner_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNNER, "ray")
    with pytest.raises(EverfitError, match="allowed: threads, dask"):
        task_runner()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_a_rehearsal_on_workers_finds_what_it_finds_in_threads(scheduler: str, workspace: Path) -> None:
    """Its lives, fits and windows run on the workers, and only the processor times differ."""
    write_month(workspace.parent, "spring", deliveries("2024-01-01", 88))
    Path("deliveries.yaml").write_text(yaml.safe_dump(SPEC))
    command = [Path(sys.executable).with_name("everfit"), "rehearse", "deliveries.yaml", "--json", "--no-variations"]
    command += ["--from", "2024-03-01", "--to", "2024-03-29", "--every", "14d"]
    found = []
    for runner in ({}, {RUNNER: "dask", ADDRESS: scheduler}):
        done = subprocess.run(
            command, env=os.environ | runner, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, done.stderr
        found.append(without_times(json.loads(done.stdout)))
        Path("rehearsals").rename(f"rehearsals-{len(found)}")

    assert found[0] == found[1]
    assert found[0]["matrix"][0][1] is not None


def without_times(outcome: Any) -> Any:
    """A result without its processor times."""
    if isinstance(outcome, dict):
        return {name: without_times(value) for name, value in outcome.items() if "seconds" not in name}
    return [without_times(value) for value in outcome] if isinstance(outcome, list) else outcome
