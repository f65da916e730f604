"""A turn whose candidates are tried on the workers of a Dask scheduler, to the same result as in threads."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterName
from support.deliveries import SPEC, deliveries, write_month
from support.dying_life import live_after_a_kill
from support.killing_plugin import KillsOnce
from support.prefect_server import with_task_runs
from support.stack import wait_for

from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.deployments.cli.runs import result_of
from everfit.flows.training_flow import training
from everfit.tasks.core.cluster import ADDRESS, RUNNER
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.data.split import TrainingData
from everfit.tasks.rehearsal.plan import SPEC as PLAIN
from everfit.tasks.rehearsal.plan import RehearsalPlan, Rehearsed
from everfit.tasks.rehearsal.running import Running
from everfit.tasks.steps.task_runners import executor, task_runner
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.training import train
from everfit.tasks.training.results import CandidateResult
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.reproduction import reproduce
from everfit.tasks.turns.turn_record import TurnRecord

pytest.importorskip("prefect_dask")
distributed = pytest.importorskip("distributed")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_a_turn_on_workers_finds_what_it_finds_in_threads(
    scheduler: str, prefect_server: None, workspace: Path, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a scheduler, when a turn is run on it, then each try and the model itself come out as in this process.

    Both candidates are searched on folds at once, each setting by a task of its own on one of the workers, of which one
    is killed while it tries a setting.
    """
    write_month(workspace.parent, "winter", deliveries("2024-01-01", 60))
    candidates = ["logistic_regression", "random_forest"]
    search = {"trials": 8, "at_once": 3, "spaces": {"random_forest": {"n_estimators": {"low": 5, "high": 20}}}}
    policy = SPEC["training"] | {"candidates": candidates, "search": search, "folds": 2}  # type: ignore[operator]
    Path("deliveries.yaml").write_text(yaml.safe_dump(SPEC | {"training": policy}))
    monkeypatch.setenv(RUNNER, "dask")
    monkeypatch.setenv(ADDRESS, scheduler)
    flow = training.with_options(task_runner=task_runner())  # as where the environment is that of the whole process
    with distributed.Client(scheduler) as client, with_task_runs():
        processes = client.run(os.getpid)
        client.register_plugin(KillsOnce("try_setting", processes))

        turn = result_of(flow("deliveries.yaml", datetime(2024, 3, 1, tzinfo=UTC), return_state=True))

        assert len(set(client.run(os.getpid).values()) - set(processes.values())) == 1
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


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_lives_of_a_rehearsal_whose_workers_are_killed_are_lived_once_more(
    scheduler: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUNNER, "dask")
    monkeypatch.setenv(ADDRESS, scheduler)
    monkeypatch.setattr("everfit.tasks.rehearsal.running.live", live_after_a_kill)
    spec, ends = ModelSpec.model_validate(SPEC), [datetime(2024, month, 1, tzinfo=UTC) for month in (1, 2, 3)]
    policies = (Rehearsed(name=PLAIN), Rehearsed(name="later", patch={"maturity": "2d"}))
    plan = RehearsalPlan(model=spec.name, ends=tuple(ends), until=ends[-1], policies=policies)
    root = workspace.parent / "rehearsal"
    root.mkdir()
    said: list[str] = []

    with executor(2, [str(root)]) as there:
        lives, matrix = Running(spec, plan, root, Workspace(str(workspace)), there, said.append, far=True).run()

    assert (sorted(lives), matrix) == (sorted([PLAIN, "later"]), None)
    tries = [path.read_text().count("try") for path in root.rglob("tries")]
    assert len(tries) == 2
    assert min(tries) >= 2


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
