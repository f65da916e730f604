"""A challenger that the gate promoted is tried on live traffic: dealt out by key, judged, released or returned."""

from datetime import UTC, datetime
from typing import Any

import pytest
from support.trials import HOUR, SINCE, begin, left, live, two_versions

from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.predictions import prediction_log
from everfit.tasks.registry import model_registry as registered
from everfit.tasks.release import approvals
from everfit.tasks.release.traffic import trial_journal, trials
from everfit.tasks.release.traffic.traffic_split import TrafficSplit, write_split
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context


@pytest.fixture
def context(registry: Any) -> Context:
    """A champion (1), and a challenger (2) that the gate promoted in a turn which is still running."""
    return two_versions(registry)


def test_a_better_challenger_grows_and_is_released(context: Context) -> None:
    turn = begin(context)
    seen = live(context, 1.6)

    assert [one.look.verdict for one in seen][:1] == ["grow"]
    assert seen[-1].look.verdict == "release"
    found = left(context, turn)
    assert found["turn"][0] == "Promoted"
    assert (found["champion"], found["challenger"], found["tag"]) == (2, None, None)
    assert [(version, state) for version, state, *_ in found["releases"]] == [(1, "verified"), (2, "verified")]
    assert found["releases"][-1][-1] == turn.id
    assert trials.look_at(context, SINCE + 200 * HOUR) is None


@pytest.mark.parametrize(
    ("strength", "also", "words"),
    [
        (0.0, {}, "significantly worse"),
        (1.0, {"failing": 0.3}, "failed on"),
        (1.0, {"slower": 10.0}, "requests took over"),
    ],
)
def test_a_bad_challenger_is_taken_back(context: Context, strength: float, also: dict[str, Any], words: str) -> None:
    turn = begin(context)
    seen = live(context, strength, **also)

    assert seen[-1].look.verdict == "return"
    found = left(context, turn)
    assert found["turn"][0] == "Returned"
    assert words in found["turn"][1][0]
    assert (found["champion"], found["challenger"], found["tag"]) == (1, None, None)


def test_an_equal_challenger_is_seldom_taken_back_and_not_released_by_an_ab_trial(context: Context) -> None:
    spec = context.spec
    split = spec.model_copy(update={"release": spec.release.model_copy(update={"strategy": "ab"})})
    context = Context(split, context.settings)
    turn = begin(context)
    seen = live(context, 1.0, seed=5)

    assert {one.look.verdict for one in seen[:-1]} == {"wait"}
    assert "4d have passed, and it is not proven to be better yet" in left(context, turn)["turn"][1][0]


def test_another_champion_ends_the_trial(context: Context) -> None:
    turn = begin(context)
    registered.set_alias(context.mlflow, "delays", "champion", 2)

    done = approvals.reconcile(context, datetime.now(UTC))

    assert any("ended as Superseded" in action for action in done)
    assert left(context, turn)["turn"][0] == "Superseded"
    assert left(context, turn)["tag"] is None


def test_a_person_stops_a_trial(context: Context) -> None:
    turn = begin(context)
    trials.stop(context, "ann", "not before the holidays")

    assert left(context, turn)["turn"] == ("Returned", ("Returned by ann: not before the holidays", turn.id))
    with pytest.raises(trials.TrialError, match="no version"):
        trials.stop(context, "ann", "again")


def test_what_a_person_approves_is_tried_from_then_on(context: Context) -> None:
    version = registered.model_version(context.mlflow, "delays", 2).model_dump(mode="json")
    record = {"version": version, "evidence": {"champion_version": 1}}
    with context.ledger.turns.take("delays", Trigger(), Window(until=SINCE)) as turn:
        waits = {
            "state": turn_record.AWAITING_APPROVAL,
            "verdict": "needs_approval",
            "reasons": ("waits",),
            "record": record,
        }
        context.ledger.turns.finish(turn, **waits)

    approved = approvals.decide_approval(context, turn.id, "approve", by="ann", reason="good", now=datetime.now(UTC))

    assert (approved.state, approved.reasons[0]) == (turn_record.ON_TRIAL, "Approved by ann (as stated): good")
    state = trial_journal.on_trial(context)
    assert state is not None
    assert SINCE < state.plan.since < SINCE + HOUR  # as long after the turn as it was waited for
    assert left(context, turn)["champion"] == 1
    assert live(context, 1.6)[-1].turn_state == turn_record.PROMOTED


def test_the_service_deals_keys_to_both_arms_and_the_champion_answers_for_one_that_fails(
    registry: Any, serve: Any, until: Any, workspace: Any, good: dict[str, Any]
) -> None:
    first, second, other = (registry.add("delays", source) for source in ("first", "second", "multiclass"))
    registry.champion("delays", first)
    service = serve("delays")
    records = [{**good, "key": key} for key in range(60)]

    def asked() -> list[int]:
        answer = service.client.post("/models/delays/predict", json={"records": records})
        assert answer.status_code == 200, answer.text
        return [one["model_version"] for one in answer.json()["predictions"]]

    def on_trial(version: int, share: float) -> None:
        write_split(registry.client, "delays", version, TrafficSplit(trial="t", champion=first, share=share))
        until(lambda: service.client.get("/models/delays").json()["arms"].get("challenger") == share)

    assert set(asked()) == {first}
    on_trial(second, 0.4)
    before = asked()
    assert 10 <= before.count(second) <= 40
    assert asked() == before  # the same keys get the same arm
    on_trial(second, 0.8)
    assert all(now == second for was, now in zip(before, asked(), strict=True) if was == second)
    plain = service.client.post(
        "/invocations", json={"dataframe_records": [{**good, "flight": key} for key in range(60)]}
    )
    assert len(plain.json()["predictions"]) == 60
    assert plain.headers["everfit-model-version"] == f"{first},{second}"
    challenger = service.client.get("/models/delays").json()["challenger"]
    assert challenger["version"] == second

    on_trial(other, 0.8)  # it knows other classes
    until(lambda: service.client.get("/models/delays").json()["challenger"]["version"] == other)
    assert set(asked()) == {first}
    assert 'everfit_trial_fallbacks_total{model="delays"}' in service.client.get("/metrics").text
    registry.champion("delays", second)  # another champion than the trial's: no part of the traffic any more
    until(lambda: set(asked()) == {second})
    service.stop()

    log = prediction_log.read(context_table(workspace), None, "departs")
    arms = log.groupby(["_arm", "_model_version"]).size().to_dict()
    assert set(arms) >= {("champion", first), ("challenger", second), ("fallback", first), ("champion", second)}
    assert ("challenger", other) not in arms
    assert log["_prediction_id"].is_unique


def context_table(workspace: Any) -> Any:
    from everfit.tasks.storage.tables import Table

    return Table(str(workspace / "delays" / "predictions"))
