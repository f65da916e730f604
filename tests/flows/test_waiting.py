"""A story of a challenger that is kept for want of evidence, and released by a later look without another training."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from support.deliveries import SPEC, deliveries, write_month

from everfit.blocks.settings import Settings
from everfit.deployments.cli.runs import result_of
from everfit.deployments.cli.turn_tables import print_history
from everfit.flows.monitoring_flow import monitoring
from everfit.flows.scoring_flow import scoring
from everfit.flows.training_flow import training
from everfit.tasks.core.records import Trigger
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.registry import model_registry, tracking
from everfit.tasks.release import release as release_room
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.waiting import find_waiting

pytestmark = pytest.mark.usefixtures("prefect_server")

MARCH = datetime(2024, 3, 1, tzinfo=UTC)
KEPT, LATER = MARCH + timedelta(days=14), MARCH + timedelta(days=20)
CAREFUL = {
    "training": SPEC["training"] | {"window": "28d", "holdout": "7d"},
    "gate": {"min_rows": 400, "wait_for_evidence": True},  # the first hold-out has fewer
    "monitoring": {"window": "14d", "report": "never", "max_loss": 0.9},  # no loss asks for a turn meanwhile
}


def run(flow: Any, *arguments: Any) -> dict[str, Any]:
    return result_of(flow(*arguments, return_state=True))


def live(model: str, since: datetime, until: datetime, south: float) -> None:
    """Let rows come in and be predicted; the champion does not know how often deliveries to the south are late."""
    random = np.random.default_rng(since.day)
    frame = deliveries(f"{since:%Y-%m-%d}", (until - since).days, seed=since.day)
    risk = 3 * (frame["distance"] / 5 - 1) + (frame["region"] == "north") + south * (frame["region"] == "south")
    late = pd.Series(random.uniform(size=len(frame)) < 1 / (1 + np.exp(-risk)))
    write_month(Path(model).parent, f"since-{since:%m-%d}", frame.assign(late=late))
    run(scoring, model, since, until)


def test_it_waits_is_judged_by_the_rows_since_and_is_released_without_another_training(
    released: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(released).write_text(yaml.safe_dump(SPEC | CAREFUL))
    here = Context(load_spec(released), Settings())
    live(released, MARCH, KEPT, south=1.6)

    tried = run(training, released, KEPT)

    assert tried["state"] == "ChampionKept", tried["reasons"]
    [_, kept] = here.ledger.turns.of("deliveries")
    assert kept.reasons[-1].startswith("Version 2 waits: it is judged again as labels come")
    waiting = find_waiting(here.ledger.turns.of("deliveries"), 1)
    assert waiting is not None
    assert (waiting.version, waiting.champion, waiting.turn_id) == (2, 1, kept.id)
    said = {"model": "deliveries", "turns": [], "releases": [], "changes": [], "waiting": {"summary": waiting.summary}}
    print_history(said)
    assert "Version 2 waits for evidence" in capsys.readouterr().out
    # It is the model that would have been released: fitted on all rows, registered with its digests.
    version = model_registry.model_version(here.mlflow, "deliveries", 2)
    assert version.trained_until == KEPT - timedelta(days=1)
    assert here.ledger.artifacts.find(version) is not None

    live(released, KEPT, LATER, south=1.6)
    original, calls = release_room.release, []

    def killed(*arguments: Any, **named: Any) -> Any:
        calls.append(named["reason"])
        if len(calls) == 1:
            raise OSError("killed")
        return original(*arguments, **named)

    monkeypatch.setattr(release_room, "release", killed)
    broken = monitoring(released, LATER, return_state=True)
    assert result_of(broken)["verdict"] == "judge", result_of(broken)["reasons"]
    assert broken.is_failed()
    assert model_registry.champion(here.mlflow, "deliveries").version == 1
    judging = here.ledger.turns.of("deliveries")[-1]
    run(training, released, LATER, Trigger.model_validate(judging.trigger.model_dump()))

    # Nothing was trained, and the turn that judged it has released it.
    assert model_registry.versions(here.mlflow, "deliveries") == [1, 2]
    assert model_registry.champion(here.mlflow, "deliveries").version == 2
    judging = here.ledger.turns.get(judging.id)
    assert (judging.state, judging.trigger.kind) == ("Promoted", "waiting")
    assert judging.reasons[-1] == f"It waited for evidence since turn {kept.id}, and was not trained again"
    release = here.ledger.releases.current("deliveries")
    assert (release.version, release.turn_id, release.state) == (2, judging.id, "verified")
    decided = here.ledger.decisions.find(f"{judging.id}/gate").record["evidence"]
    assert decided["attempt"] == 2
    assert decided["overlap_rows"] == 0
    assert decided["holdout"]["until"] > kept.record["evidence"]["holdout"]["until"]
    assert find_waiting(here.ledger.turns.of("deliveries"), 2) is None
    # What is logged of the judgement has a run of its own; the run of the version tells how it was trained.
    run_id = tracking.turn_run(here.mlflow, here.settings, "deliveries", judging.id)
    assert run_id != version.run_id
    assert here.mlflow.get_run(run_id).data.params["verdict"] == "promote"

    after = run(monitoring, released, LATER + timedelta(minutes=1))
    assert after["champion"]["version"] == 2
    assert after["failed"] == []
