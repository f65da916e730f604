"""What a person reads back from a terminal: which turns there were, by the ids that the other commands take."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from everfit.blocks.errors import LedgerError
from everfit.blocks.settings import Settings
from everfit.deployments.cli.commands import app
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Ledger

SPEC = """
name: sales
task: binary
source: {path: sales.csv}
columns: {target: late}
"""


def test_the_history_names_each_turn_by_the_id_that_explain_takes(workspace: Path) -> None:
    Path("sales.yaml").write_text(SPEC)
    ledger = Ledger.open(Settings())
    for month in (3, 4):
        turn = ledger.turns.begin(
            "sales", Trigger(reason="monthly"), Window(until=datetime(2024, month, 1, tzinfo=UTC))
        )
        ledger.turns.finish(turn, state="NothingNew", verdict="", reasons=[f"no rows since [{month}]"], seconds=1.0)

    output = CliRunner().invoke(app, ["history", "sales.yaml"]).stdout.splitlines()

    ids = [turn.id for turn in ledger.turns.of("sales")]
    below = output.index(f"{ids[0]}  NothingNew")
    assert output[below:] == [
        f"{ids[0]}  NothingNew",
        "  no rows since [3]",
        f"{ids[1]}  NothingNew",
        "  no rows since [4]",
    ]
    assert ids[0] in CliRunner().invoke(app, ["explain", ids[0]]).stdout


@pytest.mark.parametrize("command", [["history", "sales.yaml"], ["explain", "sales-2024030100-1a2b3c"]])
def test_where_nothing_was_run_a_question_says_so_and_leaves_nothing_behind(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sales.yaml").write_text(SPEC)

    done = CliRunner().invoke(app, command)

    assert isinstance(done.exception, LedgerError)
    assert "there is no ledger at" in str(done.exception)
    assert "EVERFIT_WORKSPACE" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["sales.yaml"]


def test_a_model_of_the_ledger_is_found_by_its_name_without_spec_or_server(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "everfit.tasks.core.spec_loading.load_spec", None
    )  # it would start a server to look for a block
    ledger = Ledger.open(Settings())
    turn = ledger.turns.begin("sales", Trigger(), Window(until=datetime(2024, 3, 1, tzinfo=UTC)))
    ledger.turns.finish(turn, state="NothingNew", reasons=["no rows"], seconds=1.0)

    assert f"{turn.id}  NothingNew" in CliRunner().invoke(app, ["history", "sales"]).stdout
