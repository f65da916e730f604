"""The commands about the state of models: a line, the pages, the report of a period."""

import json
from pathlib import Path

import pytest
from sqlalchemy import text
from support.pages import DAY, SPRING, Life, measured
from typer.testing import CliRunner, Result

from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings
from everfit.deployments.cli.commands import app
from everfit.tasks.core.people import Person
from everfit.tasks.ledger import Ledger
from everfit.tasks.turns.accepted_spec import ACCEPTED, AcceptedSpec


@pytest.fixture(autouse=True)
def life(workspace: Path) -> Life:
    life = Life(Ledger.open(Settings()))
    life.champion(1, SPRING)
    for day in range(1, 20):
        life.look(SPRING + day * DAY, measured(0.74), columns={"temp": 0.1 * day})
    return life


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def period(*more: str) -> list[str]:
    return ["report", "flights", "--since", "2024-03-01", "--until", "2024-04-01", *more]


def test_the_status_of_all_models_is_one_json_object(life: Life) -> None:
    found = json.loads(run("status", "--json", "--until", "2024-03-21").stdout)

    assert [(model["model"], model["state"], model["champion"]) for model in found["models"]] == [("flights", "fit", 1)]
    assert json.loads(run("status", "flights", "--json").stdout)["quality"]["value"] == 0.74


def test_the_limits_are_those_of_the_recorded_spec_where_its_file_lies_elsewhere(life: Life) -> None:
    assert json.loads(run("status", "flights", "--json").stdout)["limits"] is None
    spec = {"roles": {"edit": ["ann"]}, "retraining": {"budget": {"turns": 7}}}
    life.ledger.decisions.record(
        "flights/1",
        model="flights",
        kind=ACCEPTED,
        verdict="accepted",
        record=AcceptedSpec(person=Person(name="ann"), content=spec),
    )
    assert "7 of 7 automatic turns" in run("status", "flights").stdout
    page = Path(json.loads(run("pages", "--json").stdout)["page"]).with_name("flights") / "index.html"
    assert '<dd class="figure">7 of 7</dd>' in page.read_text()


def test_the_pages_say_where_they_are(life: Life) -> None:
    found = json.loads(run("pages", "--json").stdout)

    assert found["models"] == ["flights"]
    assert Path(found["page"]).exists()


def test_a_report_is_verified_without_its_ledger(life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "review.html"
    written = json.loads(run(*period("--output", str(file), "--json")).stdout)
    monkeypatch.setenv("EVERFIT_LEDGER_URL", f"sqlite:///{tmp_path / 'another.db'}")

    alone = run("verify-report", str(file))
    noted = json.loads(run("verify-report", str(file), "--noted", written["link"], "--json").stdout)

    assert alone.exit_code == 0
    assert "All of it fits together" in alone.stdout
    assert "note: nothing outside of the file vouches" in alone.stdout
    assert noted["model"] == "flights"
    assert noted["vouched"] == [f"the noted link {written['link'].partition(':')[0]}"]


def test_a_changed_report_ends_with_1(life: Life, tmp_path: Path) -> None:
    file = tmp_path / "review.html"
    run(*period("--output", str(file)))
    file.write_text(file.read_text().replace("gate", "ann"))

    done = run("verify-report", str(file))

    assert done.exit_code == 1
    assert "the file was changed" in done.stdout


def test_a_report_of_a_changed_ledger_ends_with_1(life: Life, tmp_path: Path) -> None:
    with life.ledger.store.write("flights") as connection:
        connection.execute(text("update releases set actor = 'bob'"))
    file = tmp_path / "review.html"

    said = run(*period("--output", str(file)))
    answer = json.loads(run(*period("--output", str(file), "--json")).stdout)
    verified = run("verify-report", str(file))

    assert (said.exit_code, verified.exit_code) == (1, 1)
    assert "ledger: release '1' was changed after link" in said.stdout
    assert answer["unfit"] == [line.removeprefix("ledger: ") for line in said.stdout.splitlines() if "ledger: " in line]
    assert "release '1' is not as link" in verified.stdout


def test_a_signed_release_vouches_for_a_report(life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from everfit.tasks.ledger.chain_signatures import sign_release

    public = run("keys", str(tmp_path / "key.pem")).stdout.strip().splitlines()[-1]
    (tmp_path / "signers").write_text(f"{public} ann\n")
    monkeypatch.setenv("EVERFIT_SIGNING_KEY", str(tmp_path / "key.pem"))
    sign_release(life.ledger, "flights", 1)
    file = tmp_path / "review.html"
    run(*period("--output", str(file)))
    monkeypatch.setenv("EVERFIT_SIGNERS", str(tmp_path / "signers"))

    assert "vouched for by the signature of release 1" in run("verify-report", str(file)).stdout


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["report", "flights", "--since", "soon"], "'soon' is not a time"),
        (["report", "flights", "--since", "2030-01-01", "--until", "2029-01-01"], "is empty"),
        (["report", "tides.yaml", "--since", "2024-01-01"], "tides"),
        (["verify-report", "nowhere.html"], "can't be read"),
    ],
)
def test_bad_input_is_one_error(life: Life, words: list[str], error: str) -> None:
    done = run(*words)

    assert isinstance(done.exception, EverfitError)
    assert error in str(done.exception)


def test_no_model_takes_the_folder_of_the_pages(life: Life) -> None:
    done = run("rename", "flights", "pages", "--by", "ann", "--reason", "shorter")

    assert isinstance(done.exception, EverfitError)
    assert "'pages' is the folder of the workspace with the pages of models" in str(done.exception)
