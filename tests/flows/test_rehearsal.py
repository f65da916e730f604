"""A rehearsal of two windows does what the commands did, sees nothing of later, and touches nothing."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import yaml
from support.deliveries import SPEC as DELIVERIES
from support.deliveries import deliveries, write_month

from everfit.blocks.settings import Settings
from everfit.deployments.cli.runs import result_of
from everfit.deployments.rehearsal.life_process import WindowsLived, live_window
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.rehearsal.life import Life, LifeReader
from everfit.tasks.rehearsal.outcome import BOUND, STILL, Rehearsal
from everfit.tasks.rehearsal.plan import SPEC, as_rehearsed
from everfit.tasks.rehearsal.variations import variations
from everfit.tasks.turns.context import Context

MARCH, STEP = datetime(2024, 3, 1, tzinfo=UTC), timedelta(days=14)
ENDS = (MARCH, MARCH + STEP, MARCH + 2 * STEP)


def known_at(frame: pd.DataFrame, moment: datetime) -> pd.DataFrame:
    """What a source showed at a moment: no later row, and no label that came later."""
    seen = frame[frame["sent_at"] < moment].copy()
    later = seen["known_at"] > moment
    seen["late"] = seen["late"].astype(object).where(~later)
    seen["known_at"] = seen["known_at"].where(~later)
    return seen


@pytest.fixture
def spring() -> pd.DataFrame:
    """Four weeks in which the distance tells the opposite, then two of the future, in which it is as before."""
    months = [
        deliveries("2024-03-01", 14, seed=1, strength=-3),
        deliveries("2024-03-15", 14, seed=2, strength=-3),
        deliveries("2024-03-29", 14, seed=3),
    ]
    return pd.concat(months, ignore_index=True)


def real_replay(model: str, spring: pd.DataFrame) -> Life:
    """Live through the windows by the real flows, on a source that grows as time goes on."""
    from everfit.flows.labeling_flow import labeling
    from everfit.flows.monitoring_flow import monitoring
    from everfit.flows.scoring_flow import scoring

    for since, until in pairwise(ENDS):
        write_month(Path(), "spring", known_at(spring, until))
        result_of(scoring(model, since, until, return_state=True))
        result_of(monitoring(model, until, return_state=True))
    result_of(labeling(model, ENDS[-1], return_state=True))
    return LifeReader(Context(load_spec(model), Settings()), ENDS, ENDS[-1]).read(0.0, ())


def state_of(workspace: Path) -> dict[str, str]:
    """Digests of the ledger, the tables and the turns' files."""
    return {
        str(path.relative_to(workspace)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(workspace.rglob("*"))
        if path.is_file() and not path.name.startswith(("mlflow.db", "prefect.db")) and "artifacts" not in path.parts
    }


@pytest.mark.long
def test_the_spec_does_in_a_rehearsal_what_it_did(
    prefect_server: None, released: str, spring: pd.DataFrame, tmp_path: Path
) -> None:
    from everfit.flows.rehearsal_flow import rehearsal

    real = real_replay(released, spring)
    write_month(Path(), "spring", spring)  # the whole source, as it is long after
    context = Context(load_spec(released), Settings())
    workspace = Path(Settings().workspace)
    before = state_of(workspace)
    versions = [version.version for version in context.mlflow.search_model_versions("name='deliveries'")]

    folder = tmp_path / "rehearsals"
    found = result_of(rehearsal(released, MARCH, ENDS[-1], "14d", jobs=2, folder=str(folder), return_state=True))
    page = Path(found.pop("page"))
    outcome = Rehearsal.model_validate(found)

    # The same verdicts, turns, releases and figures as by the real flows.
    (life_file,) = folder.glob("*/lives/the-spec-as-it-is-*/life.json")
    lived = Life.model_validate_json(life_file.read_text())
    assert lived.notes == ()
    assert lived.model_copy(update={"seconds": 0.0}) == real
    assert lived.windows[0].verdict == "retrain"

    # Nothing of the model was touched.
    assert state_of(workspace) == before
    assert [version.version for version in context.mlflow.search_model_versions("name='deliveries'")] == versions

    # The usual variations were lived through, each by its own spec.
    varied = dict(variations(context.spec))
    assert [play.policy for play in outcome.plays if play.kind == "patch"] == list(varied)
    assert all(None not in outcome.play(name).quality for name in varied)
    by_all = yaml.safe_load(next(folder.glob("*/lives/training-on-all-of-history-*/spec.yaml")).read_text())
    assert by_all["training"]["window"] == "all"

    # The model that is never retrained is the first champion, by the matrix and in the log alike.
    still, spec, bound = outcome.play(STILL), outcome.play(SPEC), outcome.play(BOUND)
    assert still.quality[0] == pytest.approx(spec.quality[0])
    assert sum(filter(None, bound.quality)) >= sum(filter(None, spec.quality)) - 1e-9
    assert outcome.matrix[1][0] is None
    assert outcome.recommendation.verdict == "unknown"  # two windows are too few

    # The page needs no network, and the results are with MLflow.
    text = page.read_text()
    assert "<link" not in text
    assert "<script src" not in text
    assert "Plotly.newPlot" in text
    experiment = context.mlflow.get_experiment_by_name("deliveries-rehearsal")
    assert experiment is not None
    (run,) = context.mlflow.search_runs([experiment.experiment_id])
    assert {file.path for file in context.mlflow.list_artifacts(run.info.run_id)} == {
        "rehearsal.html",
        "rehearsal.json",
    }
    assert json.loads((folder / "rehearsal.json").read_text())["model"] == "deliveries"


def test_a_challenger_that_waits_for_a_person_counts_as_approved(
    prefect_server: None, model: str, tmp_path: Path
) -> None:
    """Given a feature that is called like the target, then the gate asks a person, and nobody is there to answer."""
    write_month(Path(model).parent, "winter", deliveries("2024-01-01", 75).rename(columns={"region": "late_region"}))
    Path(model).write_text(yaml.safe_dump(as_rehearsed(DELIVERIES | {"gate": {"approvals": 2}})))
    context, life = Context(load_spec(model), Settings()), WindowsLived(tmp_path)
    live_window(model, context, MARCH, ENDS[1], life)
    assert context.ledger.releases.current("deliveries") is not None
    assert life.notes == ["2024-03-01: the challenger waited for a person, which counts as approved at once"]
