"""A champion whose files are gone keeps no turn from replacing it, if a person asks for that."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.deliveries import deliveries, write_month
from support.processes import everfit

from everfit.blocks.errors import ModelError
from everfit.blocks.settings import Settings
from everfit.deployments.cli.runs import result_of
from everfit.flows.scoring_flow import scoring
from everfit.flows.training_flow import training
from everfit.tasks.batch.scoring import require_champion
from everfit.tasks.core.records import Trigger
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.turns.context import Context

APRIL = datetime(2024, 4, 1, tzinfo=UTC)


@pytest.mark.usefixtures("prefect_server")
def test_a_champion_without_files_is_replaced_when_asked_for(released: str) -> None:
    context = Context(load_spec(released), Settings())
    shutil.rmtree(Path(Settings().state_dir) / "mlflow-artifacts" / "deliveries" / "models")
    write_month(Path(released).parent, "march", deliveries("2024-03-01", 31, seed=3))

    with pytest.raises(ModelError) as broken:
        result_of(training(released, APRIL, return_state=True))
    assert str(broken.value).startswith("version 1 of 'deliveries' can't be loaded: its files can't be read from ")
    assert "\n" not in str(broken.value)
    assert "`everfit train --replace-broken-champion`" in str(broken.value)
    with pytest.raises(ModelError, match="version 1 of 'deliveries' can't be loaded"):
        result_of(scoring(released, None, APRIL, return_state=True))

    turn = result_of(training(released, APRIL, Trigger(replace_broken_champion=True), return_state=True))
    assert turn["state"] == "Promoted"
    assert "in place of champion 1 (which can't be loaded)" in turn["reasons"][0]
    assert "its files can't be read from" in turn["reasons"][1]
    champion = context.ledger.releases.current("deliveries")
    assert champion is not None
    assert (champion.version, champion.previous_version) == (2, 1)
    assert result_of(scoring(released, None, APRIL, return_state=True))["model_version"] == 2


def test_a_registry_that_does_not_know_the_champion_of_the_ledger_is_named(released: str) -> None:
    context = Context(load_spec(released), Settings())
    context.mlflow.delete_registered_model_alias("deliveries", "champion")

    with pytest.raises(ModelError, match="no champion in MLflow, and version 1 by the ledger; check that MLFLOW_TRACK"):
        require_champion(context)


def test_a_prefect_server_that_is_gone_is_reported_in_one_line(model: str) -> None:
    ((code, _, stderr),) = everfit(["train", model], PREFECT_API_URL="http://127.0.0.1:9/api")

    assert code == 2
    assert stderr == (
        "everfit: the Prefect server at http://127.0.0.1:9/api does not answer: Connection refused; start it, or unset "
        "PREFECT_API_URL (in a profile: `prefect config unset PREFECT_API_URL`) to run without a server\n"
    )
