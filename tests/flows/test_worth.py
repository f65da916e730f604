"""What the loop has been worth: the first model and the previous champion answer the month's labelled rows."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from sklearn.metrics import roc_auc_score
from support.deliveries import deliveries, write_month
from typer.testing import CliRunner

from everfit.blocks.errors import ModelError
from everfit.blocks.settings import Settings
from everfit.deployments.cli.commands import app
from everfit.deployments.cli.runs import result_of
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.monitoring import worth_measuring
from everfit.tasks.monitoring.kept_worth import kept_worth
from everfit.tasks.registry import model_registry
from everfit.tasks.scoring.loading import load_scorer
from everfit.tasks.turns.context import Context

LOOKS = [datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 15, tzinfo=UTC), datetime(2024, 4, 3, tzinfo=UTC)]


@pytest.mark.usefixtures("prefect_server")
def test_a_month_is_measured_once_its_labels_are_mature(released: str) -> None:
    from everfit.flows.monitoring_flow import monitoring
    from everfit.flows.scoring_flow import scoring
    from everfit.flows.training_flow import training

    spring = deliveries("2024-03-01", 33, seed=1, strength=1.5)
    path = Path(released)  # the gate lets the first retraining pass, so that two champions answer in the month
    gate = {"comparison": "non_inferiority", "margin": 0.5}
    changes = {"gate": gate, "monitoring": {"report": "never"}}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
    context = Context(load_spec(released), Settings())
    write_month(Path(), "spring", spring)
    begin, middle, end = LOOKS
    result_of(scoring(released, begin, middle, return_state=True))
    assert result_of(training(released, middle, return_state=True))["state"] == "Promoted"
    result_of(scoring(released, middle, end, return_state=True))
    assert kept_worth(context.ledger, "deliveries") == []

    # A first model that can't be loaded now leaves the month for a later look.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worth_measuring, "load_scorer", lambda *_: (_ for _ in ()).throw(ModelError("no answer")))
        result_of(monitoring(released, end - timedelta(hours=6), return_state=True))
    assert kept_worth(context.ledger, "deliveries") == []
    result_of(monitoring(released, end, return_state=True))

    (month,) = kept_worth(context.ledger, "deliveries")
    assert month.month == "2024-03"
    assert month.turns == 1
    assert month.alone is not None
    assert month.previous is not None
    assert month.notes == ()

    # The same by hand: the first model had the month's first half to itself, and the second one the other.
    rows = spring[spring["sent_at"] < "2024-04-01"]
    late = rows[rows["sent_at"] >= "2024-03-15"]

    def auc(version: int) -> float:
        client = context.mlflow
        scorer = load_scorer(client, context.ledger, model_registry.model_version(client, "deliveries", version))
        return float(roc_auc_score(late["late"], scorer.score(late[["distance", "region"]]).score))

    gain = auc(2) - auc(1)
    assert month.rows == len(rows)
    assert month.previous.gain == pytest.approx(gain, abs=1e-6)
    assert month.alone.gain == pytest.approx(gain * len(late) / len(rows), abs=1e-6)

    # A second look at the same moment measures nothing again, and the command shows it.
    entries = context.ledger.decisions.of("deliveries", kind="worth")
    result_of(monitoring(released, LOOKS[-1], return_state=True))
    assert context.ledger.decisions.of("deliveries", kind="worth") == entries
    shown = CliRunner().invoke(app, ["history", released, "--worth", "--json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["months"][0]["alone"]["gain"] == pytest.approx(month.alone.gain)
    text = CliRunner().invoke(app, ["history", released, "--worth"])
    assert "than the first model left alone" in " ".join(text.stdout.split())
