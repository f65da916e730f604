"""Schedules of specs on a Prefect server: what is deployed, what is remembered, and what a person has edited."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.bootstrapping import MODEL, Server

from everfit.blocks.errors import DeploymentError
from everfit.deployments.server.changes import Change, Changes
from everfit.deployments.server.removal import remove_model
from everfit.deployments.server.variables import read_table, write_table

pytestmark = pytest.mark.usefixtures("prefect_server", "workspace")


def test_schedules_of_the_spec_are_deployed_and_one_that_a_person_edited_stays(server: Server) -> None:
    server.write(schedules={"monitoring": "5 6 * * 1-5", "scoring": "30 * * * *", "timezone": "Europe/Berlin"})
    server.write_deployments("monitoring", "scoring")
    server.set_up()

    def deployed(flow: str) -> Any:
        return server.prefect.read_deployment_by_name(f"{flow}/{MODEL}").schedules[0]

    found = {flow: deployed(flow) for flow in ("monitoring", "scoring")}
    assert {flow: (one.schedule.cron, one.schedule.timezone, one.active) for flow, one in found.items()} == {
        "monitoring": ("5 6 * * 1-5", "Europe/Berlin", True),
        "scoring": ("30 * * * *", "Europe/Berlin", True),  # what a spec schedules is on
    }

    # When a person edits one on the server, then it stays, and the spec changes the other
    deployment = server.prefect.read_deployment_by_name(f"monitoring/{MODEL}")
    edited = {"schedule": {"cron": "0 12 * * *", "timezone": "UTC"}, "active": True}
    path = {"id": deployment.id, "schedule_id": found["monitoring"].id}
    server.prefect.request("PATCH", "/deployments/{id}/schedules/{schedule_id}", path_params=path, json=edited)
    server.write(schedules={"monitoring": "9 9 * * *", "scoring": "off"})

    kept = [each for each in server.set_up() if each.kind == "schedule"]

    assert [(each.name, each.status) for each in kept] == [(f"monitoring/{MODEL} hourly", "kept")]
    assert deployed("monitoring").schedule.cron == "0 12 * * *"
    assert not deployed("scoring").active


def test_a_server_remembers_the_schedules_of_many_models_in_variables_that_are_small_enough(server: Server) -> None:
    def written(table: dict[str, Any], before: dict[str, Any]) -> list[Change]:
        changes = Changes(dry_run=False)
        write_table(server.prefect, "everfit_schedules", before, table, changes)
        assert read_table(server.prefect, "everfit_schedules") == table
        return changes.made

    def variables() -> set[str]:
        found = server.prefect.request("POST", "/variables/filter", json={}).json()
        return {variable["name"] for variable in found if variable["name"].startswith("everfit_schedules")}

    many = {f"monitoring/model-{number}": {"hourly": {"cron": "7 * * * *", "é": "ü" * 40}} for number in range(60)}
    written(many, {})
    assert len(variables()) > 2
    assert [change.status for change in written(many, many)] == ["unchanged"]

    few = dict(list(many.items())[:2])
    assert [change.status for change in written(few, many)] == ["changed"]
    assert variables() == {"everfit_schedules"}


def test_a_model_that_is_gone_leaves_no_schedules_in_memory(server: Server) -> None:
    server.write_deployments("monitoring")
    server.set_up()
    assert read_table(server.prefect, "everfit_schedules")

    remove_model(server.prefect, MODEL, Changes(dry_run=False))

    assert read_table(server.prefect, "everfit_schedules") == {}


def test_a_schedule_that_is_none_is_one_clear_error(server: Server) -> None:
    server.write(schedules={"monitoring": "99 99 * * *"})
    with pytest.raises(DeploymentError, match=r"schedules.monitoring: '99 99"):
        server.set_up()
    server.write(schedules={"monitoring": "hourly"})
    with pytest.raises(DeploymentError, match=r"'hourly' is no cron expression; give minute, hour"):
        server.set_up()


def test_schedules_of_every_kind_are_the_same_when_they_are_read_again(server: Server) -> None:
    server.write_deployments(".reconcile")
    content = yaml.safe_load(Path("deployments/prefect.yaml").read_text())
    content["deployments"][-1]["schedules"] = [
        {"slug": "one", "interval": 3600.5, "active": False},
        {"slug": "two", "interval": 7200, "anchor_date": "2024-01-01T00:00:00Z", "timezone": "Europe/Berlin"},
        {"slug": "three", "rrule": "FREQ=DAILY"},
        {"slug": "four", "cron": "1 2 * * 1-5", "day_or": False},
    ]
    Path("deployments/prefect.yaml").write_text(yaml.safe_dump(content))
    server.set_up()

    assert [each for each in server.set_up() if each.status != "waiting"] == []
    made = {one.slug: one.schedule for one in server.prefect.read_deployment_by_name(f"reconcile/{MODEL}").schedules}
    assert made["one"].interval.total_seconds() == 3600.5
    assert made["two"].anchor_date.isoformat() == "2024-01-01T00:00:00+00:00"
    assert made["three"].rrule.endswith("FREQ=DAILY")
    assert not made["four"].day_or
