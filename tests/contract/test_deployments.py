"""What goes onto a Prefect server: the files that come with everfit are right, and a mistake in one is told."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.events.schemas.automations import AutomationCore
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from everfit.blocks.errors import DeploymentError
from everfit.blocks.schedules import SchedulesPolicy
from everfit.blocks.settings import Settings
from everfit.deployments.server import files, lint, stack
from everfit.deployments.server.automations import _plain
from everfit.deployments.server.changes import differing

ONCE = ["digest", "housekeeping"]
"""The flows that work for all models in one run."""
OF_ONE = ["monitoring", "scoring", "training", "watch_source"]
"""The flows that have a deployment for each model, with a limit or a schedule of its own."""
FLOWS = sorted(path.stem.removesuffix("_flow") for path in (Path(__file__).parents[2] / "flows").glob("[a-z]*.py"))


def test_what_comes_with_everfit_has_no_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert lint.find_problems() == []


def test_every_flow_has_a_deployment_for_each_model_or_one_for_all_of_them() -> None:
    models = ["flights", "deliveries"]
    found = files.deployments_of(files.read_prefect_file(), models, "1", "shop")
    flow = {id(each): each.entrypoint.rpartition(".")[2] for each in found}
    always = [each for each in found if each.name in models and not each.if_scheduled]
    to_choose = [each for each in found if each.choices]
    of_all = [each for each in found if each.name == "shop"]

    assert sorted(flow[id(each)] for each in always) == sorted(2 * OF_ONE)
    assert sorted(flow[id(each)] for each in to_choose) == sorted({*FLOWS} - {*OF_ONE} - {*ONCE})
    assert sorted(flow[id(each)] for each in of_all) == ONCE
    assert all(each.version == "1" for each in found)
    assert all(each.parameters["model"] == each.name for each in found if each.name in models)
    assert all(each.parameters["models"] == models for each in of_all)
    assert {each.name for each in to_choose} == {"any-model-of-shop"}
    assert all(each.choices == {"model": tuple(models)} and "model" not in each.parameters for each in to_choose)


def test_a_flow_that_a_spec_can_schedule_has_a_deployment_for_each_model_that_does() -> None:
    found = files.deployments_of(files.read_prefect_file(), ["flights"], "1")
    of_model = {each.entrypoint.rpartition(".")[2]: each for each in found if each.name == "flights"}

    scheduled = {key for key in SchedulesPolicy.model_fields if key != "timezone"}
    assert scheduled | {"training"} == of_model.keys()
    assert all(each.concurrency_limit and each.concurrency_limit.limit == 1 for each in of_model.values())
    assert not any(each.active for one in of_model.values() if one.if_scheduled for each in one.schedules)


def test_triggers_of_all_models_act_on_the_project_s_own_alone() -> None:
    models = ["flights", "deliveries"]
    found = files.deployments_of(files.read_prefect_file(), models, "1", "shop")
    triggers = [trigger for each in found if each.choices for trigger in each.triggers]

    assert {name for trigger in triggers for name in trigger["expect"]} == {
        "everfit.drift.detected", "everfit.quality.degraded", "everfit.approval.requested",
        "everfit.release.promoted", "everfit.release.rolled-back",
    }  # fmt: skip
    for trigger in triggers:
        assert trigger["match"] == {"prefect.resource.id": [f"everfit.model.{model}" for model in models]}
        assert trigger["for_each"] == ["prefect.resource.id"]
        assert "event.resource.id" in trigger["parameters"]["model"]
        assert trigger["name"].endswith(" of shop")


def test_every_parameter_of_every_form_is_described() -> None:
    for name in FLOWS:
        schema = parameter_schema(lint.load_flow(f"everfit.flows.{name}_flow.{name}"))
        bare = [key for key, each in schema.properties.items() if not each.get("description")]
        assert not bare, f"{name}: {bare}"


@pytest.mark.usefixtures("prefect_server")  # or Prefect starts one of its own, and gives it 20 seconds
def test_a_run_beats_at_least_twice_before_its_silence_counts_whatever_worker_has_it() -> None:
    template = ProcessWorker.get_default_base_job_template()
    template["variables"]["properties"]["env"]["default"] = {"EVERFIT_WORKSPACE": "s3://bucket/models"}
    automations, _ = files.automations_of(files.read_automations_file(), ["flights"], None, "shop")
    (lost,) = [each for each in automations if each.name == "everfit lost runs"]

    for deployment in files.deployments_of(files.read_prefect_file(), ["flights"], "1"):
        variables = deployment.work_pool.job_variables
        env = asyncio.run(ProcessJobConfiguration.from_template_and_values(template, variables)).env
        assert env["EVERFIT_WORKSPACE"] == "s3://bucket/models"
        assert 2 * int(env["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] or 180) <= lost.trigger.within.total_seconds()


Change = Callable[[dict[str, Any]], None]


def training(change: Change) -> Change:
    def changed(content: dict[str, Any]) -> None:
        change(next(each for each in content["deployments"] if each["entrypoint"].endswith(".training")))

    return changed


def first_trigger(**parameters: Any) -> Change:
    return training(lambda entry: entry["triggers"][0].update(parameters=parameters))


STEPS = "prefect.deployments.steps"
SCHEDULE = {"slug": "hourly", "cron": "0 * * * *"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda content: content.update(pulls=[]), "pulls: there is no such key"),
        (training(lambda entry: entry.update(schedule=[])), "schedule: there is no such key"),
        (training(lambda entry: entry.update(schedules=[SCHEDULE | {"cron": "61 * * * *"}])), "cron"),
        (
            training(lambda entry: entry.update(schedules=[SCHEDULE | {"crn": "* * * * *"}])),
            "crn: there is no such key",
        ),
        (training(lambda entry: entry.update(schedules=[SCHEDULE, SCHEDULE])), "'hourly' is there twice"),
        (training(lambda entry: entry.update(schedules=[SCHEDULE | {"parameters": {"why": 1}}])), "no parameter 'why'"),
        (training(lambda entry: entry.update(parameters={"modell": "x"})), "no parameter 'modell'"),
        (training(lambda entry: entry.update(parameters={"model": 3})), "parameter model: 3 is not of type 'string'"),
        (training(lambda entry: entry.update(parameters={"model": "x", "trigger": {"kind": "whim"}})), "whim"),
        (training(lambda entry: entry.update(entrypoint="everfit.flows.trainning_flow.training")), "can't be loaded"),
        (training(lambda entry: entry["triggers"][0].update(expects=["x"])), "a trigger has no key 'expects'"),
        (training(lambda entry: entry["triggers"][0].update(expect=["everfit.data.arived"])), "no event"),
        (training(lambda entry: entry["triggers"][0].update(name="")), "a trigger has no name"),
        (first_trigger(until="{{ event.payload.until or event.occurred }}"), "doesn't give JSON"),
        (first_trigger(until="{{ (event.payload.until }}"), "is not a valid template"),
        (training(lambda entry: entry.update(description="{{ $EVERFIT_MODELL }}")), "is not a placeholder"),
        (training(lambda entry: entry.update(concurrency_limit={"limit": 0})), "concurrency_limit.limit"),
        (lambda content: content["deployments"].append(content["deployments"][0]), "is there 2 times"),
        (
            training(lambda entry: entry.update(choices={"modell": ["x"]})),
            "choices: the flow has no parameter 'modell'",
        ),
        (training(lambda entry: entry.update(choices={"model": ["x"]})), "is not one of ['x']"),
        (lambda content: content.update(pull=[{f"{STEPS}.git_clon": {}}]), "there is no step"),
        (lambda content: content.update(pull=[{f"{STEPS}.git_clone": {"repo": "x"}}]), "has no argument 'repo'"),
        (lambda content: content.update(pull=[{"clone": None}]), "the full name of its function"),
    ],
)
def test_a_mistake_in_prefect_yaml_is_told(tmp_path: Path, change: Change, told: str) -> None:
    content = files.read_prefect_file().model_dump(by_alias=True, exclude_none=True, mode="json")
    change(content)
    path = tmp_path / "prefect.yaml"
    path.write_text(yaml.safe_dump(content))
    assert told in "; ".join(lint.find_problems(prefect_file=path))


def test_a_key_that_is_twice_in_prefect_yaml_is_told(tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text("name: mine\npull: []\nname: yours\n")

    assert "name: the key is written in line 1 and again in line 3" in "; ".join(lint.find_problems(prefect_file=path))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda entry: entry.update(trigers={}), "an automation has no key 'trigers'"),
        (lambda entry: entry["trigger"].update(withn=10), "trigger has no key 'withn'"),
        (lambda entry: entry["trigger"].update(within=5), "10 seconds"),
        (lambda entry: entry["actions"][0].update(states="CRASHED"), "action has no key 'states'"),
        (lambda entry: entry["actions"][0].update(type="change-the-state"), "no action 'change-the-state'"),
    ],
)
def test_a_mistake_in_automations_yaml_is_told(tmp_path: Path, change: Change, told: str) -> None:
    content = files.read_automations_file().model_dump(mode="json")
    change(content["automations"][0])
    path = tmp_path / "automations.yaml"
    path.write_text(yaml.safe_dump(content))
    assert told in "; ".join(lint.find_problems(automations_file=path))


def test_a_spec_with_a_mistake_or_under_another_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "deployments/models"
    folder.mkdir(parents=True)
    shipped = next(path for path in (Path(__file__).parents[2] / "deployments/models").glob("*.yaml")).read_text()
    (folder / "other.yaml").write_text(shipped)
    (folder / "broken.yaml").write_text(shipped.replace("maturity:", "maturty:"))
    monkeypatch.chdir(tmp_path)
    first, second = sorted(lint.find_problems())
    assert "broken.yaml" in first
    assert "did you mean 'maturity'?" in first
    assert "rename the file to flight-delays.yaml" in second


def test_a_spec_that_gets_no_deployment_is_refused_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = next(path for path in (Path(__file__).parents[2] / "deployments/models").glob("*.yaml"))
    (tmp_path / "mine.yaml").write_text(shipped.read_text())
    monkeypatch.chdir(tmp_path)

    with pytest.raises(DeploymentError, match=r"'mine.yaml' is not in .* move it to deployments/models/flight-delays"):
        stack.up(Settings(), ["mine.yaml"], None)

    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_folder_without_specs_is_told_which_model_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "so flight-delays, which comes with everfit, is served" in stack.shipped_note([], ["flight-delays"])
    assert stack.shipped_note(["mine"], ["mine"]) == ""
    (tmp_path / "deployments" / "models").mkdir(parents=True)
    assert stack.shipped_note([], ["mine"]) == ""


def test_events_that_are_told_in_another_order_are_no_change() -> None:
    one = "everfit.release.promoted"
    # Which order a set has hangs on the process, and for some on which came first.
    others = (f"everfit.release.{number}" for number in range(10_000))
    other = next(name for name in others if list({one, name}) != list({name, one}))
    told, again = (
        AutomationCore.model_validate(
            {
                "name": "champion changed",
                "trigger": {"type": "event", "posture": "Reactive", "expect": expect, "threshold": 1, "within": 0},
                "actions": [{"type": "do-nothing"}],
            }
        )
        for expect in ([one, other], [other, one])
    )

    assert not differing(_plain(told), _plain(again))


def test_notifications_wait_until_a_block_is_named() -> None:
    file = files.read_automations_file()
    found, waiting = files.automations_of(file, ["flights", "deliveries"], None, "shop")
    assert [each.name for each in found] == ["everfit lost runs"]
    assert "everfit not monitored, deliveries" in waiting
    with_block, none = files.automations_of(
        file, ["flights", "deliveries"], "8f7a6f5e-8a3c-4f5e-9d8c-0a1b2c3d4e5f", "shop"
    )
    assert not none
    assert {each.name for each in with_block} == {"everfit lost runs", *waiting}
