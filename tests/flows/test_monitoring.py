"""Stories of monitoring: what is planted is told apart, and what is decided is done once."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from prefect import get_client
from prefect.client.schemas.filters import DeploymentFilter
from support.deliveries import SPEC, write_month
from support.evidently import break_evidently
from support.prepared import copied, working_in
from support.watching import MARCH, WATCHED, begin, live, rows, run, window_of

from everfit.deployments.cli import window_view
from everfit.deployments.cli.runs import result_of
from everfit.flows.monitoring_flow import monitoring
from everfit.flows.training_flow import training
from everfit.tasks.batch import label_collection
from everfit.tasks.core.records import Trigger
from everfit.tasks.monitoring.report import report_process

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def world(_watched: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model with a champion as of March that no story of this world replaces."""
    folder = copied(_watched, tmp_path_factory.mktemp("watched") / "world")
    with working_in(folder):
        yield str(folder / "deliveries.yaml")


def test_before_the_first_champion_there_is_nothing_to_watch(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    state = monitoring(model, MARCH, return_state=True)

    assert (state.is_completed(), state.name) == (True, "NothingToWatch")
    result = result_of(state)
    assert (result["verdict"], result["champion"], result["turn_id"]) == (None, None, None)
    window_view.print_window(result)
    output = " ".join(capsys.readouterr().out.split())
    assert output.startswith("deliveries: NothingToWatch, there is no champion to monitor yet; ")


def test_healthy_stays_healthy(world: str) -> None:
    result = run(monitoring, world, live(world, 0))

    assert (result["verdict"], result["rule"], result["state"]) == ("healthy", "healthy", "Healthy")
    assert result["turn_id"] is None
    assert result["champion"]["version"] == 1
    json.dumps(result, allow_nan=False)

    # The flow has written the pages, from the ledger alone.
    pages = Path(world).parent / ".everfit" / "pages"
    content = json.loads((pages / "deliveries" / "page.json").read_text())
    assert content["looks"][-1]["id"] == result["decision_id"]
    assert content["looks"][-1]["runs"].keys() >= {"mlflow", "prefect"}
    assert content["series"]["drift"]
    assert content["status"]["limits"]["budget"] == 60
    assert "deliveries" in json.loads((pages / "index.json").read_text())["models"]


def test_covariate_shift_without_loss_is_watched(world: str) -> None:
    frame = rows(window_of(2)[0], 2)
    frame["weight"] += 1.5

    result = run(monitoring, world, live(world, 2, frame))

    assert (result["verdict"], result["rule"]) == ("watch", "persistent_drift")
    assert result["signals"]["drift"]["columns"] == ["weight"]
    assert result["state"] == "Watching"


def test_a_season_that_came_a_year_before_as_well_is_no_news(model: str) -> None:
    """Given heavy parcels in the same weeks of the year before, then heavy parcels are no news; heavier ones are."""
    folder, (since, _) = Path(model).parent, window_of(0)
    year_before = rows(since - timedelta(weeks=52), 7).assign(weight=lambda frame: frame["weight"] + 1.5)
    write_month(folder, "year-before", year_before)
    spec = begin(folder, training=SPEC["training"] | {"window": "70d"})  # it has not learned from a year ago
    heavy = rows(since, 0).assign(weight=lambda frame: frame["weight"] + 1.5)

    result = run(monitoring, spec, live(spec, 0, heavy))

    assert (result["verdict"], result["rule"]) == ("healthy", "healthy"), result["reasons"]
    assert result["signals"]["drift"]["seasonal"] == ["weight"]
    assert "no drift is new; as a year before: weight" in result["reasons"]

    heavier = rows(window_of(1)[0], 1).assign(weight=lambda frame: frame["weight"] + 3)
    result = run(monitoring, spec, live(spec, 1, heavier))

    assert result["verdict"] == "watch"
    assert result["signals"]["drift"]["seasonal"] == []


def test_label_shift_is_watched_too(world: str) -> None:
    # Nine of ten deliveries are late now, and what late ones look like is as it was.
    many = pd.concat([rows(window_of(4)[0], seed).assign(seed=seed) for seed in (4, 104, 204)])
    late = many[many["late"]].sample(540, random_state=0)
    frame = pd.concat([late, many[~many["late"]].sample(60, random_state=0)])
    frame["id"] = frame["seed"].astype(str) + frame["id"]

    result = run(monitoring, world, live(world, 4, frame.drop(columns="seed").sort_values("sent_at")))

    assert result["verdict"] == "watch", result["reasons"]
    assert {"distance", "_score"} <= set(result["signals"]["drift"]["columns"])
    quality = result["signals"]["quality"]
    assert abs(quality["value"] - quality["baseline"]["value"]) < 0.05


@pytest.mark.parametrize(
    ("number", "change", "kind"),
    [
        (6, {"distance": lambda _: 5.0}, "broken_sensor"),
        (8, {"region": lambda values: values.replace("north", "NORTH")}, "renamed_category"),
        (10, {"weight": lambda values: values * 1000}, "implausible"),
        (12, {"distance": lambda _: 5.0, "weight": lambda _: 0.1, "region": lambda _: "south"}, "frozen_feed"),
    ],
)
def test_broken_data_is_quarantined_and_trains_nothing(world: str, number: int, change: Any, kind: str) -> None:
    frame = rows(window_of(number)[0], number)
    for column, broken in change.items():
        frame[column] = broken(frame[column])

    result = run(monitoring, world, live(world, number, frame))

    assert (result["verdict"], result["rule"], result["state"]) == ("quarantine", "bad_data", "DataQuarantined")
    assert kind in {problem["kind"] for problem in result["signals"]["data"]["bad"]}
    assert result["turn_id"] is None


def test_all_that_a_spec_can_ask_for_is_read(world: str) -> None:
    # Given figures of the users' own, what answers are worth, an expectation of the user's and a joint comparison
    until = live(world, 14)
    users = Path(world).parent / "users.csv"
    users.write_text(f"day,stars\n{until - timedelta(days=2):%Y-%m-%d},4.5\n{until - timedelta(days=99):%Y-%m-%d},1\n")
    stars = {"metric": "stars", "at_least": 4, "time": "day", "source": {"kind": "files", "path": str(users)}}
    between = {"column": "distance", "min_value": 0, "max_value": 9}
    body = {
        "training": SPEC["training"] | {"business_value": {"true_positive": 3, "false_positive": -1, "unit": "EUR"}},
        "retraining": {"user_metrics": [stars], "cadence": "never"},
        "monitoring": WATCHED["monitoring"] | {"joint_drift": True},
        "expectations": {"suite": [{"type": "expect_column_values_to_be_between", "kwargs": between}]},
    }
    own = Path(world).with_name("asking.yaml")
    own.write_text(yaml.safe_dump(SPEC | body))

    result = run(monitoring, str(own), until)

    signals = result["signals"]
    assert result["verdict"] == "quarantine"  # a tenth of the distances is beyond what the user expects
    assert [problem["kind"] for problem in signals["data"]["bad"]] == ["expectation"]
    assert "max_value=9" in result["reasons"][0]
    assert (signals["user_metrics"][0]["status"], signals["user_metrics"][0]["value"]) == ("measured", 4.5)
    low, high = signals["quality"]["value_interval"]
    assert low < signals["quality"]["value_per_row"] < high
    assert signals["quality"]["value_unit"] == "EUR"
    assert 0.4 < signals["drift"]["joint"] < 0.6
    assert signals["drift"]["explanations"] < 0.2
    assert signals["service_health"]["figures"]["outlier_share"] < 0.05


def test_labels_that_stop_are_told_to_a_person(world: str) -> None:
    frame = rows(window_of(16)[0], 16)
    frame[["late", "known_at"]] = None

    result = run(monitoring, world, live(world, 16, frame))

    assert (result["verdict"], result["rule"]) == ("escalate", "missing_labels")
    # The look judges all rows since the last one, and some rows of the earlier stories have labels
    assert result["signals"]["quality"]["coverage"] < 0.1


def test_a_feed_that_is_silent_is_told_to_a_person(watched: str) -> None:
    run(monitoring, watched, live(watched, 0))

    result = run(monitoring, watched, window_of(2)[1])

    assert (result["verdict"], result["rule"]) == ("escalate", "silent_feed")


def test_a_model_that_nothing_asks_yet_pages_nobody(watched: str) -> None:
    result = run(monitoring, watched, MARCH + timedelta(hours=1))

    assert (result["verdict"], result["rule"]) == ("watch", "unused")
    assert "nothing has asked the model yet" in result["reasons"][0]

    # The looks of a day after that end at once, and the next day has a full one.
    short = run(monitoring, watched, MARCH + timedelta(hours=2))
    assert (short["state"], short["verdict"], short["mlflow_run_id"]) == ("NothingToWatch", None, None)
    assert "the last full look was at 2024-03-01 01:00" in short["reasons"][0]
    assert run(monitoring, watched, MARCH + timedelta(hours=26))["rule"] == "unused"


def test_a_look_without_anything_new_ends_at_once_and_a_day_later_one_measures(watched: str) -> None:
    until = live(watched, 0) + timedelta(days=2)  # all labels have come by then
    assert run(monitoring, watched, until)["verdict"] in {"healthy", "watch"}

    short = run(monitoring, watched, until + timedelta(hours=1))
    assert (short["state"], short["mlflow_run_id"]) == ("NothingNew", None)
    assert "no prediction and no label has come since the full look at" in short["reasons"][0]

    assert run(monitoring, watched, until + timedelta(days=1))["verdict"] is not None


def test_evidently_raising_fails_the_run_and_is_never_healthy(
    world: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report_process.close()
    break_evidently(tmp_path, monkeypatch, "BaseException")
    Path(world).write_text(
        yaml.safe_dump(SPEC | WATCHED | {"monitoring": WATCHED["monitoring"] | {"report": "always"}})
    )

    state = monitoring(world, live(world, 20), return_state=True)

    Path(world).write_text(yaml.safe_dump(SPEC | WATCHED))
    report_process.close()
    assert state.is_failed()
    assert state.name == "NotMeasured"
    result = result_of(state)
    assert result["verdict"] == "escalate"
    assert "no such metric" in result["failed"][0]


def test_a_source_that_is_gone_is_a_failure_too(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> None:
        raise OSError("the store is away")

    until = live(world, 24)
    monkeypatch.setattr(label_collection, "record_source_labels", gone)

    state = monitoring(world, until, return_state=True)

    assert state.is_failed()
    assert "the store is away" in result_of(state)["failed"][0]


def test_a_turn_is_started_once_where_training_is_deployed(world: str) -> None:
    with get_client(sync_client=True) as client:
        deployment = training.to_deployment("deliveries").apply()
        try:
            until = live(world, 26, rows(window_of(26)[0], 26, strength=-3.0))
            first, again = run(monitoring, world, until), run(monitoring, world, until)
            filters = DeploymentFilter(id={"any_": [deployment]})
            result = client.read_flow_runs(deployment_filter=filters)
        finally:
            client.delete_deployment(deployment)

    reported = (first["verdict"], first["state"], first["turn_state"])
    assert reported == ("retrain", "RetrainingCalled", "running"), first["reasons"]
    assert again["turn_id"] == first["turn_id"]
    [flow_run] = result
    assert flow_run.idempotency_key.startswith(first["turn_id"])
    # Whoever runs it runs the turn that was called for, and the turn names the triage behind it.
    trigger = Trigger.model_validate(flow_run.parameters["trigger"])
    assert trigger.id == first["decision_id"]
    assert trigger.turn_id("deliveries", datetime.fromisoformat(flow_run.parameters["until"])) == first["turn_id"]
    assert flow_run.parameters["model"] == "deliveries"


def test_a_column_that_comes_empty_is_broken_data_and_not_too_little(world: str) -> None:
    frame = rows(window_of(28)[0], 28).assign(distance=None)

    result = run(monitoring, world, live(world, 28, frame))

    assert (result["verdict"], result["rule"]) == ("quarantine", "bad_data")
    assert ("missing", "distance") in {(item["kind"], item["column"]) for item in result["signals"]["data"]["bad"]}


def test_a_look_by_schedule_ends_when_it_was_due(world: str) -> None:
    """The last in this world: what was decided of a later window holds up turns for earlier ones."""
    began = datetime.now(UTC)
    result = run(monitoring, world)

    assert began <= datetime.fromisoformat(result["until"]) <= datetime.now(UTC)
    assert result["state"] != "NotMeasured"
