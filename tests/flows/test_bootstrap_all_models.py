"""Deployments for all models of a project: what a person chooses, and what becomes of those that each model had."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from support.bootstrapping import MODEL, Server

from everfit.deployments.server import files
from everfit.deployments.server.changes import Change
from everfit.deployments.server.variables import read_table

pytestmark = pytest.mark.usefixtures("prefect_server", "workspace")
OF_ALL = "any-model-of-shop"


@pytest.fixture(autouse=True)
def _project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERFIT_PROJECT", "shop")


def without_waiting(changes: list[Change]) -> list[tuple[str, str, str]]:
    return [(each.kind, each.name, each.status) for each in changes if each.status != "waiting"]


def one_for_each_model(server: Server, flow: str, expect: str) -> Any:
    """The deployment of the model that an earlier everfit made, with its automation."""
    content = files.read_prefect_file().model_dump(by_alias=True, exclude_none=True, mode="json")
    (entry,) = [each for each in content["deployments"] if each["entrypoint"].endswith(f".{flow}")]
    entry |= {"name": "{{ $EVERFIT_MODEL }}", "parameters": {"model": "{{ $EVERFIT_MODEL }}"}}
    entry["tags"] = ["everfit", "model:{{ $EVERFIT_MODEL }}"]
    entry.pop("choices")
    trigger = {"name": "was of {{ $EVERFIT_MODEL }}", "posture": "Reactive", "threshold": 1, "within": 0}
    entry["triggers"] = [trigger | {"expect": [expect], "parameters": {"turn_id": "x"}}]
    path = Path("deployments/prefect.yaml")
    path.write_text(yaml.safe_dump(content | {"deployments": [entry]}))
    server.set_up()
    path.unlink()
    server.write_deployments(f".{flow}")
    return server.prefect.read_deployment_by_name(f"{flow}/{MODEL}")


def test_a_person_chooses_among_the_models_of_the_project(server: Server) -> None:
    server.write_deployments(".rollback")
    server.set_up()

    found = server.prefect.read_deployment_by_name(f"rollback/{OF_ALL}")
    assert found.parameter_openapi_schema["properties"]["model"]["enum"] == [MODEL]
    run = server.prefect.create_flow_run_from_deployment(found.id, parameters={"model": MODEL, "reason": "it is worse"})
    assert run.parameters == {"model": MODEL, "reason": "it is worse"}
    with pytest.raises(PrefectHTTPStatusError, match="409"):
        server.prefect.create_flow_run_from_deployment(found.id, parameters={"model": "letters", "reason": "a slip"})


def test_a_schedule_gives_a_model_a_deployment_of_its_own_for_as_long(server: Server) -> None:
    server.write_deployments(".labeling")
    server.set_up()
    with pytest.raises(ObjectNotFound):
        server.prefect.read_deployment_by_name(f"labeling/{MODEL}")

    # Given a spec that schedules the flow
    server.write(schedules={"labeling": "5 6 * * *"})
    assert ("deployment", f"labeling/{MODEL}", "created") in without_waiting(server.set_up())
    (schedule,) = server.prefect.read_deployment_by_name(f"labeling/{MODEL}").schedules
    assert (schedule.schedule.cron, schedule.active) == ("5 6 * * *", True)

    # When it no longer does, then the deployment for all models is enough
    server.write()
    assert ("deployment", f"labeling/{MODEL}", "removed") in without_waiting(server.set_up(dry_run=True))
    assert ("deployment", f"labeling/{MODEL}", "removed") in without_waiting(server.set_up())
    assert read_table(server.prefect, "everfit_schedules") == {}
    assert without_waiting(server.set_up()) == []


def test_a_schedule_that_a_person_has_switched_on_keeps_the_model_s_deployment(server: Server) -> None:
    server.write_deployments(".labeling")
    server.write(schedules={"labeling": "off"})
    content = yaml.safe_load(Path("deployments/prefect.yaml").read_text())
    for entry in content["deployments"]:
        entry["if_scheduled"] = False  # as it was before
    Path("deployments/prefect.yaml").write_text(yaml.safe_dump(content))
    server.set_up()
    found = server.prefect.read_deployment_by_name(f"labeling/{MODEL}")
    server.prefect.update_deployment_schedule(found.id, found.schedules[0].id, active=True)
    Path("deployments/prefect.yaml").unlink()
    server.write_deployments(".labeling")

    for _ in range(2):
        assert without_waiting(server.set_up()) == []
    assert server.prefect.read_deployment_by_name(f"labeling/{MODEL}").schedules[0].active

    # When it is switched off again, then the deployment for all models is enough
    server.prefect.update_deployment_schedule(found.id, found.schedules[0].id, active=False)
    assert without_waiting(server.set_up())[0] == ("deployment", f"labeling/{MODEL}", "removed")


def test_what_each_model_had_is_replaced_with_its_automations(server: Server) -> None:
    found = one_for_each_model(server, "approval", "everfit.approval.requested")
    (automation,) = server.prefect.read_automations_by_name(f"was of {MODEL}")
    server.prefect.pause_automation(automation.id)

    made = server.set_up()

    assert ("deployment", f"approval/{OF_ALL}", "created") in without_waiting(made)
    assert ("deployment", f"approval/{MODEL}", "removed") in without_waiting(made)
    (removed,) = [each for each in made if each.name == f"was of {MODEL}"]
    assert "it was switched off, and the other one is for all models" in removed.reason
    with pytest.raises(ObjectNotFound):
        server.prefect.read_deployment(found.id)
    assert [one.name for one in server.prefect.read_automations()] == [
        "everfit approval requested of shop", "everfit lost runs",
    ]  # fmt: skip
    assert without_waiting(server.set_up()) == []


def test_one_that_waits_for_a_person_or_that_somebody_s_own_automation_starts_stays(server: Server) -> None:
    found = one_for_each_model(server, "approval", "everfit.approval.requested")
    run = server.prefect.create_flow_run_from_deployment(found.id, parameters={"model": MODEL, "turn_id": "x"})

    def reason() -> str:
        (kept,) = [each for each in server.set_up() if each.name == f"approval/{MODEL}"]
        assert kept.status == "kept"
        return kept.reason

    assert reason() == "it has runs that wait or run; a later bootstrap removes it"
    assert server.prefect.read_automations_by_name(f"was of {MODEL}") == []  # or two forms would be made
    server.prefect.delete_flow_run(run.id)
    start = {"type": "run-deployment", "source": "selected", "deployment_id": str(found.id)}
    trigger = {"type": "event", "posture": "Reactive", "expect": ["x"], "threshold": 1, "within": 0}
    own = AutomationCore.model_validate({"name": "theirs", "trigger": trigger, "actions": [start]})
    server.prefect.create_automation(own)

    assert reason() == "somebody's own automation starts it: theirs"
    assert server.prefect.read_deployment(found.id)
