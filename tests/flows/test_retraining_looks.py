"""Stories of looks that start a turn, and of what came of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from support.deliveries import SPEC, write_month
from support.monitors import monitor_in_processes
from support.watching import FORTNIGHT, MARCH, WATCHED, begin, context, live, rows, run, window_of, with_spec

from everfit.flows.monitoring_flow import monitoring
from everfit.flows.scoring_flow import scoring
from everfit.flows.training_flow import training
from everfit.tasks.gate.checks.comparison import growth_to_show
from everfit.tasks.monitoring.triage_history import OUTCOME, TRIAGE, JudgedWindow, history_of, read_triages
from everfit.tasks.registry import model_registry
from everfit.tasks.turns.turn_record import TurnRecord

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_concept_shift_is_retrained_once_and_the_new_champion_is_better(
    watched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = with_spec(watched, training=SPEC["training"] | {"holdout": "6d", "window": "14d"})
    assert run(monitoring, model, live(model, 0))["verdict"] == "healthy"
    until = live(model, 1, rows(window_of(1)[0], 1, strength=-3.0))

    def dies(*_: object, **__: object) -> None:
        raise RuntimeError("the process died before the turn began")

    with monkeypatch.context() as patch:
        patch.setattr("everfit.flows.monitoring_flow.training", dies)
        with pytest.raises(RuntimeError, match="died before"):
            run(monitoring, model, until)
    first = run(monitoring, model, until)
    again = run(monitoring, model, until)

    assert (first["verdict"], first["rule"], first["state"]) == ("retrain", "realised_loss", "Retrained")
    assert first["turn_state"] == "Promoted"
    # The reasons, the message's advice and the run say why.
    diagnosis = first["signals"]["diagnosis"]["diagnosis"]
    assert diagnosis["split"]["cause"] == "changed_meaning"
    assert any("rows that mean something else now" in reason for reason in first["reasons"])
    assert [row["status"] for row in first["evidence"] if row["area"] == "diagnosis"] == ["measured"]
    run_of_look = context(model).mlflow.get_run(first["mlflow_run_id"])
    assert run_of_look.data.metrics["diagnosis.changed_meaning"] > 0.1
    files = [file.path for file in context(model).mlflow.list_artifacts(first["mlflow_run_id"])]
    assert "diagnosis.html" in files
    assert (again["decision_id"], again["turn_id"]) == (first["decision_id"], first["turn_id"])
    here = context(model)
    assert len(here.ledger.turns.of("deliveries")) == 2
    assert len(here.ledger.decisions.of("deliveries", kind=TRIAGE)) == 2
    assert here.ledger.turns.get(first["turn_id"]).trigger.id == first["decision_id"]

    after = run(monitoring, model, live(model, 2, rows(window_of(2)[0], 2, strength=-3.0)))

    assert after["champion"]["version"] == 2
    assert after["verdict"] in {"healthy", "watch"}
    assert after["signals"]["quality"]["value"] > first["signals"]["quality"]["value"] + 0.3
    # What came of the turn is part of what triage remembers.
    later = window_of(3)[1]
    judged = read_triages(here.ledger.decisions.of("deliveries", kind=TRIAGE), later)
    assert all(isinstance(item, JudgedWindow) for item in judged)
    helped = [turn.helped for turn in history_of(judged, here.ledger.turns.of("deliveries"), later).turns]
    assert helped == [None, True]
    [outcome] = here.ledger.decisions.of("deliveries", kind=OUTCOME)
    assert (outcome.verdict, outcome.turn_id) == ("helped", first["turn_id"])
    assert outcome.record["decision_id"] == first["decision_id"]
    assert outcome.record["gain"] > 0.3
    assert [item["turn_id"] for item in after["outcomes"]] == [first["turn_id"]]


def test_a_turn_is_tried_by_cadence_and_a_try_in_vain_makes_the_next_one_wait(watched: str) -> None:
    model = with_spec(watched, retraining={})

    first = run(monitoring, model, live(model, 0))

    assert (first["verdict"], first["rule"], first["state"]) == ("retrain", "enough_new_rows", "Retrained")
    counted = first["signals"]["labels"]
    assert counted["unseen_rows"] == counted["new_rows"] > 400
    assert first["turn_state"] == "ChampionKept"  # a fortnight like all others
    here = context(model)
    tried = here.ledger.turns.get(first["turn_id"])
    assert tried.trigger.kind == "new_data"

    # A few days later there is a little more to learn from, and the look says when there will be enough.
    since, _ = window_of(1)
    write_month(Path(model).parent, "window-01", rows(since, 1))
    soon = since + timedelta(days=3)
    run(scoring, model, since, soon)
    second = run(monitoring, model, soon)

    assert second["turn_id"] is None
    assert second["rule"] != "enough_new_rows"
    assert f"the last try at {counted['unseen_rows']:,}" in second["next_try"]
    judged = read_triages(here.ledger.decisions.of("deliveries", kind=TRIAGE), since + FORTNIGHT)
    [_, past] = history_of(judged, here.ledger.turns.of("deliveries"), since + FORTNIGHT).turns
    assert (past.outcome, past.unseen_rows) == ("kept", counted["unseen_rows"])
    evidence = TurnRecord.model_validate(here.ledger.turns.of("deliveries")[-1].record).evidence
    assert evidence is not None
    assert evidence.comparison is not None
    assert past.growth_to_show == growth_to_show(evidence.comparison, 0.0, evidence.attempt)


@pytest.mark.long
def test_many_monitors_at_once_give_one_turn_and_a_young_release_that_fails_is_rolled_back(
    workspace: Path, mlflow_uri: str
) -> None:
    model = begin(workspace.parent, training=SPEC["training"] | {"holdout": "6d", "window": "14d"})
    until = live(model, 0, rows(window_of(0)[0], 1, strength=-3.0))

    codes = monitor_in_processes(model, until, 6, workspace, mlflow_uri)

    assert codes == [0] * 6
    here = context(model)
    assert len(here.ledger.decisions.of("deliveries", kind=TRIAGE)) == 1
    assert [turn.state for turn in here.ledger.turns.of("deliveries")] == ["Promoted", "Promoted"]
    assert model_registry.versions(here.mlflow, "deliveries") == [1, 2]

    # The concept turns back at once: the release is young, and the champion before it is better on the same rows.
    until = live(model, 1)
    first, again = run(monitoring, model, until), run(monitoring, model, until)

    assert (first["verdict"], first["rule"], first["state"]) == ("roll_back", "bad_release", "RolledBack")
    assert (again["decision_id"], again["state"]) == (first["decision_id"], "RolledBack")
    assert first["signals"]["previous"]["gain"] > 0.3
    champion = model_registry.champion(here.mlflow, "deliveries")
    assert champion is not None
    assert champion.version == 1
    releases = [(entry.kind, entry.version, entry.actor) for entry in here.ledger.releases.of("deliveries")]
    assert releases[2:] == [("rollback", 1, "triage")]
    [outcome] = here.ledger.decisions.of("deliveries", kind=OUTCOME)
    assert (outcome.verdict, outcome.record["gain"] < -0.3) == ("did_not_help", True)
    assert run(monitoring, model, live(model, 2))["champion"]["version"] == 1


@pytest.mark.parametrize("task", ["multiclass", pytest.param("regression", marks=pytest.mark.long)])
def test_other_tasks_are_watched_by_the_same_means(task: str, workspace: Path, mlflow_uri: str) -> None:
    """A feed whose labels turn round is a loss; one that stays is healthy."""
    folder = workspace.parent

    def told(frame: pd.DataFrame, sign: float = 1.0) -> pd.DataFrame:
        minutes = sign * 4 * (frame["distance"] - 5) + np.random.default_rng(0).normal(scale=8, size=len(frame))
        classes = pd.cut(minutes, [-np.inf, -7, 7, np.inf], labels=["early", "in time", "late"]).astype("str")
        return frame.assign(late=minutes if task == "regression" else classes)

    write_month(folder, "winter", told(rows(datetime(2024, 1, 1, tzinfo=UTC), 99)))
    candidate = "ridge" if task == "regression" else "logistic_regression"
    path = folder / "deliveries.yaml"
    path.write_text(yaml.safe_dump(SPEC | WATCHED | {"task": task, "training": {"candidates": [candidate]}}))
    first = run(training, str(path), MARCH)
    assert first["state"] == "Promoted", first["reasons"]

    healthy = run(monitoring, str(path), live(str(path), 0, told(rows(window_of(0)[0], 0))))
    lost = run(monitoring, str(path), live(str(path), 1, told(rows(window_of(1)[0], 1), sign=-1.0)))

    assert healthy["verdict"] == "healthy", healthy["reasons"]
    assert healthy["signals"]["quality"]["metric"] == {"multiclass": "log_loss", "regression": "rmse"}[task]
    assert healthy["signals"]["estimate"]["status"] in {"measured", "not_enough"}
    assert (lost["verdict"], lost["rule"]) == ("retrain", "realised_loss")
