"""A Prefect server is set up: what is made, what is left, and what a person or another project has there."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.client.schemas.actions import BlockSchemaCreate, WorkPoolUpdate
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from support.bootstrapping import MODEL, Server
from support.deliveries import SPEC

from everfit.blocks.errors import DeploymentError, SpecError
from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.deployments.server.bootstrap import Options, bootstrap
from everfit.deployments.server.changes import Change
from everfit.deployments.server.project import TAG
from everfit.tasks.core.people import Person, RoleError
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.steps.context import find_context, open_context
from everfit.tasks.turns.accepted_spec import accept_spec

pytestmark = pytest.mark.usefixtures("prefect_server", "workspace")


def theirs(prefect: Any) -> tuple[Any, Any]:
    """Another project's deployment of a flow that has the name of one of ours, and an automation that starts it."""
    deployment = prefect.create_deployment(prefect.create_flow_from_name("training"), "theirs", tags=["everfit"])
    start = {"type": "run-deployment", "source": "selected", "deployment_id": str(deployment)}
    automation = {
        "name": "theirs",
        "trigger": {"type": "event", "posture": "Reactive", "expect": ["x"], "threshold": 1, "within": 0},
        "actions": [start],
    }
    prefect.create_automation(AutomationCore.model_validate(automation))
    return prefect.read_deployment(deployment), prefect.read_automations_by_name("theirs")


def test_a_bootstrap_makes_everything_once_and_leaves_what_it_doesnt_know(server: Server) -> None:
    before_theirs = theirs(server.prefect)
    before = server.everything

    # When it is only asked what would be done, then nothing is
    foreseen = server.set_up(dry_run=True)
    assert server.everything == before
    assert not Path(".everfit/ledger.db").exists()

    # When it is done, then it is what was foreseen, and done again it changes nothing
    made = server.set_up()
    assert [(each.kind, each.name, each.status) for each in made] == [
        (each.kind, each.name, each.status) for each in foreseen
    ]
    assert {each.kind for each in made} >= {"model spec", "deployment", "automation", "variable", "ledger"}
    assert {each.name for each in made if each.kind == "deployment"} >= {f"training/{MODEL}", f"scoring/{MODEL}"}
    after = server.everything
    assert [each for each in server.set_up() if each.status != "waiting"] == []
    assert server.everything == after

    # And theirs is as it was
    deployment, automation = before_theirs
    assert server.prefect.read_deployment(deployment.id) == deployment
    assert server.prefect.read_automations_by_name("theirs") == automation


def test_what_is_there_already_takes_as_many_requests_for_many_models_as_for_one(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.write_deployments(".monitoring", ".training")
    sent: list[str] = []
    send = httpx.Client.send

    def counted(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        sent.append(f"{request.method} {request.url.path}")
        return send(client, request, **options)

    def requests() -> list[str]:
        sent.clear()
        assert [each for each in server.set_up() if each.status != "waiting"] == []
        return list(sent)

    server.set_up()
    monkeypatch.setattr(httpx.Client, "send", counted)
    of_one = requests()
    own = Path("deployments/models", f"{MODEL}.yaml").read_text()
    for other in ("letters", "pallets"):
        Path("deployments/models", f"{other}.yaml").write_text(own.replace(f"name: {MODEL}", f"name: {other}"))
    server.set_up()

    assert requests() == of_one
    for other in ("letters", "pallets"):
        Path("deployments/models", f"{other}.yaml").unlink()
    server.set_up(prune=True)


def test_a_deployment_names_the_job_variables_that_its_pool_does_not_have(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool that a bootstrap makes has them; one that was there before, as of an earlier everfit, stays as it is."""
    server.write_deployments(".watch_source")
    named = {"working_dir": ".", "command": "python -m prefect.engine"}
    name = f"watch-source/{MODEL}"
    made = f"pool-of-{MODEL}"
    monkeypatch.setattr("everfit.deployments.server.bootstrap.POOL", made)
    content = Path("deployments/prefect.yaml").read_text()
    Path("deployments/prefect.yaml").write_text(content.replace("name: everfit\n", f"name: {made}\n"))

    server.set_up()

    template = server.prefect.read_work_pool(made).base_job_template
    variables = template["variables"]["properties"]
    assert {variable: variables[variable]["default"] for variable in named} == named
    assert server.prefect.read_deployment_by_name(name).job_variables == {}
    assert [each for each in server.set_up() if each.status != "waiting"] == []

    for variable in ("command", "env"):
        variables[variable]["default"] = None
    server.prefect.update_work_pool(made, WorkPoolUpdate(base_job_template=template))
    (changed,) = [each for each in server.set_up() if each.status != "waiting"]

    assert (changed.name, changed.reason) == (name, "job_variables")
    assert server.prefect.read_deployment_by_name(name).job_variables.keys() == {"command", "env"}


def test_an_automation_of_somebodys_own_that_has_a_name_of_ours_stays_theirs(server: Server) -> None:
    server.write_deployments(".watch_source")
    own = {
        "name": "everfit lost runs",
        "trigger": {"type": "event", "posture": "Reactive", "expect": ["theirs"], "threshold": 1, "within": 0},
        "actions": [{"type": "do-nothing"}],
    }
    server.prefect.create_automation(AutomationCore.model_validate(own))
    before = server.prefect.read_automations_by_name("everfit lost runs")

    for _ in range(2):
        (kept,) = [each for each in server.set_up() if each.name == "everfit lost runs"]
        assert (kept.kind, kept.status) == ("automation", "kept")
        assert "has no tag 'everfit'" in kept.reason
    assert server.prefect.read_automations_by_name("everfit lost runs") == before


def test_what_a_person_has_changed_on_the_server_stays(server: Server) -> None:
    server.write_deployments(".monitoring", ".watch_source")
    server.set_up()

    # Given a schedule that was switched off, one that was switched on, an automation that was, and an edited threshold
    for flow, active in (("monitoring", False), ("watch-source", True)):
        found = server.prefect.read_deployment_by_name(f"{flow}/{MODEL}")
        server.prefect.update_deployment_schedule(found.id, found.schedules[0].id, active=active)
    (lost,) = server.prefect.read_automations_by_name("everfit lost runs")
    server.prefect.pause_automation(lost.id)
    server.edit(expectations=server.block.data["expectations"] | {"max_bad_share": 0.01})

    # When the file changes as well, then the person's counts, and it is told
    server.write(maturity="2d")
    kept = [each for each in server.set_up() if each.status != "waiting"]
    assert [(each.kind, each.name, each.status) for each in kept] == [("model spec", MODEL, "kept")]
    assert "expectations, maturity" in kept[0].reason
    assert load_spec(MODEL).expectations.max_bad_share == 0.01
    assert not server.prefect.read_deployment_by_name(f"monitoring/{MODEL}").schedules[0].active
    assert server.prefect.read_deployment_by_name(f"watch-source/{MODEL}").schedules[0].active
    assert not server.prefect.read_automations_by_name("everfit lost runs")[0].enabled

    # Until somebody says otherwise
    server.set_up(overwrite_specs=True)
    assert load_spec(MODEL).expectations.max_bad_share == 0.05
    assert load_spec(MODEL).maturity.days == 2
    # And the file's own changes are taken over, since nobody has edited the stored one
    server.write(maturity="3d")
    assert [each.status for each in server.set_up() if each.kind == "model spec"] == ["changed"]
    assert load_spec(MODEL).maturity.days == 3


@pytest.mark.parametrize("edited", [False, True])
def test_a_block_of_an_earlier_everfit_gets_todays_form_and_keeps_its_values(server: Server, edited: bool) -> None:
    # Given a block that was stored when specs had no `upkeep` yet
    server.write_deployments(".reconcile")
    server.set_up()
    today = ModelSpec._to_block_schema(block_type_id=server.block.block_type_id)
    fields = dict(today.fields)
    fields["properties"] = {name: field for name, field in fields["properties"].items() if name != "upkeep"}
    older = server.prefect.create_block_schema(
        BlockSchemaCreate(fields=fields, block_type_id=server.block.block_type_id, capabilities=[], version="0.0.1")
    )
    data = {name: value for name, value in server.block.data.items() if name != "upkeep"}
    if edited:
        data["expectations"] = data["expectations"] | {"max_bad_share": 0.01}
    sent = {"data": data, "block_schema_id": str(older.id), "merge_existing_data": False}
    server.prefect.request("PATCH", "/block_documents/{id}", path_params={"id": server.block.id}, json=sent)
    assert "upkeep" not in server.block.block_schema.fields["properties"]

    # When the server is set up by today's everfit
    assert ("spec form", MODEL) in [(each.kind, each.name) for each in server.set_up(dry_run=True)]
    assert "upkeep" not in server.block.block_schema.fields["properties"]
    changed = server.set_up()

    # Then the form has the new key, the values are as they were, and it is told once
    assert ("spec form", MODEL, "changed") in [(each.kind, each.name, each.status) for each in changed]
    assert "upkeep" in server.block.block_schema.fields["properties"]
    assert load_spec(MODEL).expectations.max_bad_share == (0.01 if edited else 0.05)
    again = [(each.kind, each.status) for each in server.set_up() if each.status != "waiting"]
    assert again == ([("model spec", "kept")] if edited else [])


def test_a_spec_that_nobody_knows_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no ModelSpec block of that name; write one by `everfit init`$"):
        load_spec("pigeons")
    (tmp_path / "pigeons.yaml").touch()
    with pytest.raises(SpecError, match="none of that name here or in deployments/models"):
        load_spec("pigeons")


def test_a_stored_spec_that_cant_be_read_is_told_by_its_key(server: Server) -> None:
    server.write_deployments(".reconcile")
    server.set_up()
    server.edit(expectations=server.block.data["expectations"] | {"max_bad_share": 7})
    with pytest.raises(SpecError, match=r"expectations\.max_bad_share"):
        load_spec(MODEL)
    with pytest.raises(DeploymentError, match=r"max_bad_share.*--overwrite-specs"):
        server.set_up()
    assert "can't be read" in server.set_up(overwrite_specs=True)[0].reason
    assert load_spec(MODEL).expectations.max_bad_share == 0.05


def test_what_no_spec_asks_for_is_reported_and_removed_when_asked(server: Server) -> None:
    server.write_deployments(".monitoring", ".training")
    others = theirs(server.prefect)
    server.set_up()
    Path("deployments/models", f"{MODEL}.yaml").rename("kept.yaml")

    # Given a spec that is gone, when set up, then it is said and nothing is removed
    said = server.set_up()
    assert [(each.kind, each.name, each.status) for each in said if each.status != "waiting"] == [
        ("model", MODEL, "kept")
    ]
    assert server.block

    # When it is asked for, then all of the model goes, and nothing of others
    removed = server.set_up(prune=True)
    assert {(each.kind, each.name) for each in removed if each.status == "removed"} >= {
        ("deployment", f"monitoring/{MODEL}"),
        ("deployment", f"training/{MODEL}"),
        ("model spec", MODEL),
    }
    assert [one.name for one in server.prefect.read_deployments()] == ["theirs"]
    assert not [one.name for one in server.prefect.read_automations() if one.name.endswith(MODEL)]
    assert server.prefect.read_automations_by_name("theirs") == others[1]
    assert [each for each in server.set_up() if each.status != "waiting"] == []


def test_the_services_of_one_project_are_not_asked_about_models_of_another(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.write_deployments(".reconcile")
    server.set_up(services=("http://127.0.0.1:8080",))
    assert load_spec(MODEL).release.services == ("http://127.0.0.1:8080",)

    monkeypatch.setenv("EVERFIT_PROJECT", "another")
    Path("deployments/models", f"{MODEL}.yaml").unlink()
    path = Path("deployments/models/letters.yaml")
    path.write_text(yaml.safe_dump(SPEC | {"name": "letters"}))
    try:
        server.set_up()
        assert load_spec("letters").release.services == ()
        assert load_spec(MODEL).release.services == ("http://127.0.0.1:8080",)
    finally:
        server.prefect.delete_block_document(
            server.prefect.read_block_document_by_name("letters", ModelSpec.get_block_type_slug()).id
        )


def test_a_deployment_of_another_project_is_not_overwritten(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.write_deployments("training")
    server.set_up()

    monkeypatch.setenv("EVERFIT_PROJECT", "another")
    with pytest.raises(DeploymentError, match=r"belongs to the project .* and this is the project 'another'"):
        server.set_up()


def test_nor_is_one_beside_a_deployment_of_this_project(server: Server) -> None:
    """Both projects have a deployment named after the model, of different flows."""
    server.write_deployments("scoring")
    server.set_up()
    flow = server.prefect.create_flow_from_name("training")
    server.prefect.create_deployment(flow, MODEL, tags=["everfit", f"{TAG}another"])

    Path("deployments/prefect.yaml").unlink()
    server.write_deployments("scoring", "training")
    with pytest.raises(DeploymentError, match=r"belongs to the project 'another'"):
        server.set_up()


def test_a_teams_own_flow_that_workers_get_by_git_is_deployed_beside_everfits(server: Server) -> None:
    server.write_deployments("training")
    content = yaml.safe_load(Path("deployments/prefect.yaml").read_text())
    clone = {"prefect.deployments.steps.git_clone": {"repository": "https://127.0.0.1/team.git", "branch": "main"}}
    own = {"name": "nightly", "entrypoint": "flows/mine.py:mine", "tags": ["everfit"], "work_pool": {"name": "everfit"}}
    content |= {"pull": [clone], "deployments": [*content["deployments"], own]}
    Path("deployments/prefect.yaml").write_text(yaml.safe_dump(content))
    Path("flows").mkdir()
    Path("flows/mine.py").write_text("from prefect import flow\n\n\n@flow\ndef mine() -> int:\n    return 1\n")

    server.set_up()

    made = [server.prefect.read_deployment_by_name(name) for name in (f"training/{MODEL}", "mine/nightly")]
    assert [one.pull_steps for one in made] == [[clone], [clone]]
    assert made[1].entrypoint == "flows/mine.py:mine"
    assert [each for each in server.set_up() if each.status != "waiting"] == []


def test_a_server_that_is_gone_is_told_before_the_wait(capsys: pytest.CaptureFixture[str]) -> None:
    gone = "http://127.0.0.1:9/api"
    with (
        temporary_settings({PREFECT_API_URL: gone}),
        pytest.raises(DeploymentError, match=f"{gone} did not answer within 0 s: Connection refused; start it by"),
    ):
        bootstrap(Settings(), Options(wait=0))
    assert f"at {gone} does not answer: Connection refused; waiting up to 0 s" in capsys.readouterr().err


def test_a_spec_with_editors_is_stored_by_one_of_them_and_used_as_it_was_accepted(server: Server) -> None:
    server.write_deployments("training")
    server.write(roles={"edit": ["ann"]})
    with pytest.raises(RoleError, match=r"eve \(as stated\) may not change the spec for 'parcels'"):
        bootstrap(Settings(), Options(by="eve"))
    with pytest.raises(ObjectNotFound):
        assert server.block is None
    foreseen = server.set_up(by="ann", dry_run=True)
    made = server.set_up(by="ann")
    accepted = Change("accepted spec", MODEL, "created", "by ann (as stated)")
    assert accepted in made
    assert accepted in foreseen
    assert [change for change in server.set_up(by="eve") if change.status != "waiting"] == []  # nothing to accept
    assert open_context(MODEL).spec.maturity == timedelta(days=1)

    # An edit in the UI is refused by flows until an editor has accepted it; a bootstrap leaves it alone.
    server.edit(maturity="2d")
    with pytest.raises(RoleError, match=r"differs from the one that ann .* has accepted: maturity"):
        open_context(MODEL)
    assert [change.kind for change in server.set_up(by="ann") if change.status != "waiting"] == ["model spec"]
    context = find_context(MODEL)
    accept_spec(context.ledger, context.spec, Person(name="ann"), "seen", datetime.now(UTC))
    assert open_context(MODEL).spec.maturity == timedelta(days=2)
