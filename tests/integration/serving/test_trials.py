"""A challenger that the gate promoted is tried on live traffic: dealt out by key, judged, released or returned."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Turn
from everfit.tasks.ledger.decisions import Decisions
from everfit.tasks.ledger.releases import Releases
from everfit.tasks.ledger.turns import Turns
from everfit.tasks.predictions import labels, prediction_ids, prediction_log
from everfit.tasks.registry import model_registry as registered
from everfit.tasks.release import approvals
from everfit.tasks.release import release as releasing
from everfit.tasks.release.traffic import trial_ending, trial_journal, trials
from everfit.tasks.release.traffic.traffic_split import TrafficSplit, write_split
from everfit.tasks.storage.tables import row_keys
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context

SINCE = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def context(registry: Any) -> Context:
    """A champion (1), and a challenger (2) that the gate promoted in a turn which is still running."""
    for source in ("first", "second"):
        registry.add("delays", source)
    spec = ModelSpec.model_validate(
        {
            "name": "delays",
            "task": "binary",
            "source": {"kind": "files", "path": "flights.csv"},
            "columns": {"key": ["flight"], "event_time": "departs", "target": "late"},
            "maturity": "1h",
            "release": {
                "strategy": "canary",
                "canary": {"shares": [0.2, 0.5], "bake_time": "6h", "min_rows": 20, "min_labels": 100},
                "ab": {"bake_time": "6h", "min_rows": 20, "min_labels": 100, "max_time": "4d"},
            },
        }
    )
    made = Context(spec, Settings())
    releasing.release(made.ledger, made.mlflow, "delays", 1, expected_previous=None, reason="first", actor="gate")
    return made


def begin(context: Context) -> Turn:
    """What the training flow does when its gate has promoted."""
    with context.ledger.turns.take("delays", Trigger(reason="tried"), Window(until=SINCE)) as turn:
        champion = context.ledger.releases.current("delays")
        assert champion is not None
        assert trials.needs_trial(context.spec, champion)
        state = trials.begin(context, turn, 2, champion)
        return context.ledger.turns.finish(
            turn, state=turn_record.ON_TRIAL, verdict="promote", reasons=(state.plan.id,)
        )


def traffic(context: Context, since: datetime, until: datetime, strength: float, seed: int, **also: Any) -> None:
    """Answers of both arms, 40 an hour, dealt out as the service does; and what came true of them."""
    random = np.random.default_rng(seed)
    at = pd.date_range(since, until, freq="90s", inclusive="left", tz="UTC").as_unit("us")
    flight = int(since.timestamp()) + np.arange(len(at))
    challenger = registered.challenger(context.mlflow, "delays")
    share = trial_journal.on_trial(context).share if challenger else 0.0  # type: ignore[union-attr]
    arms = TrafficSplit(trial=trial_journal.on_trial(context).plan.id, champion=1, share=share)  # type: ignore[union-attr]
    ours = np.array([arms.routes_to_challenger(repr((int(one),))) for one in flight])
    late = random.random(len(at)) < 0.5
    score = 1 / (1 + np.exp(-(random.normal(size=len(at)) + np.where(ours, strength, 1.0) * np.where(late, 1, -1))))
    failed = ours & (random.random(len(at)) < also.get("failing", 0.0))
    arm = np.where(failed, "fallback", np.where(ours, "challenger", "champion"))
    latency = random.exponential(10, len(at)) * np.where(ours, also.get("slower", 1.0), 1.0)
    columns = {
        "departs": at,
        "flight": flight,
        prediction_log.PREDICTION_ID: prediction_ids.new_ids(int(since.timestamp() * 1000), len(at)),
        prediction_log.PREDICTED_AT: at,
        prediction_log.PREDICTION: [str(int(one > 0.5)) for one in score],
        prediction_log.SCORE: score,
        prediction_log.PROBABILITIES: [None] * len(at),
        prediction_log.MODEL_VERSION: np.where(arm == "challenger", 2, 1),
        prediction_log.ARM: arm,
        prediction_log.LATENCY: latency,
        prediction_log.OUTLIER: [None] * len(at),
        prediction_log.CLIENT: ["local"] * len(at),
    }
    kinds = dict.fromkeys(columns, "string") | {"departs": "datetime", "flight": "long"}
    kinds |= {
        prediction_log.PREDICTED_AT: "datetime",
        prediction_log.SCORE: "double",
        prediction_log.PROBABILITIES: "list",
    }
    kinds |= {prediction_log.MODEL_VERSION: "long", prediction_log.LATENCY: "double", prediction_log.OUTLIER: "double"}
    rows = prediction_log.to_rows(columns, kinds, ["flight"], "departs")
    prediction_log.append(context.workspace.table("delays", "predictions"), rows, f"traffic-{since.isoformat()}")
    keys = row_keys(pd.DataFrame({"flight": flight}), ["flight"])
    told = labels.label_rows(keys, pd.Series(late.astype(int)), pd.Series(at + HOUR), "binary", "source")
    labels.record_labels(context.workspace.table("delays", "labels"), told)


def live(context: Context, strength: float, seed: int = 0, hours: int = 96, **also: Any) -> list[Any]:
    """The trial's hours one after the other, with a look every six."""
    seen = []
    for hour in range(0, hours, 6):
        traffic(context, SINCE + hour * HOUR, SINCE + (hour + 6) * HOUR, strength, seed + hour, **also)
        found = trials.look_at(context, SINCE + (hour + 6) * HOUR)
        assert found is not None
        seen.append(found)
        if found.state.end is not None:
            break
    return seen


def left(context: Context, turn: Turn) -> Any:
    """What a trial leaves, without the moments at which it was done."""
    client, ledger = context.mlflow, context.ledger
    settled = ledger.turns.get(turn.id)
    champion, challenger = registered.champion(client, "delays"), registered.challenger(client, "delays")
    return {
        "turn": (settled.state, settled.reasons),
        "champion": champion and champion.version,
        "challenger": challenger and challenger.version,
        "tag": registered.version_tags(client, "delays", 2).get("everfit.trial"),
        "decisions": [(one.id, one.verdict, one.record) for one in ledger.decisions.of("delays")],
        "releases": [(one.version, one.state, one.reason, one.turn_id) for one in ledger.releases.of("delays")],
    }


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


class Killed(BaseException):
    """What a process that is killed leaves undone."""


def begin_and_die(context: Context) -> Turn:
    """The turn is broken off after its trial has begun, and before it could end as one on trial."""

    def tried() -> None:
        with context.ledger.turns.take("delays", Trigger(reason="tried"), Window(until=SINCE)) as turn:
            champion = context.ledger.releases.current("delays")
            assert champion is not None
            trials.begin(context, turn, 2, champion)
            raise Killed

    with pytest.raises(Killed):
        tried()
    [turn] = context.ledger.turns.of("delays")
    assert turn.state == "failed"
    return turn


def run_again(context: Context) -> Turn:
    """What the training flow does with a turn that was broken off there."""
    with context.ledger.turns.take("delays", Trigger(reason="tried"), Window(until=SINCE)) as turn:
        if context.ledger.releases.of_turn(turn.id) is not None:
            return context.ledger.turns.finish(turn, state=turn_record.PROMOTED, verdict="promote")
        champion = context.ledger.releases.current("delays")
        assert champion is not None
        state = trials.begin(context, turn, 2, champion)
        context.ledger.turns.finish(turn, state=turn_record.ON_TRIAL, verdict="promote", reasons=(state.plan.id,))
    approvals.reconcile(context, datetime.now(UTC))
    return context.ledger.turns.get(turn.id)


def test_a_trial_whose_turn_was_broken_off_can_be_stopped(context: Context) -> None:
    turn = begin_and_die(context)
    found = trials.stop(context, "ann", "not before the holidays")

    assert found.turn_state == "Returned"
    assert (left(context, turn)["challenger"], left(context, turn)["tag"]) == (None, None)
    assert approvals.reconcile(context, datetime.now(UTC)) == []
    again = run_again(context)
    assert (again.state, again.reasons[0]) == ("Returned", "Returned by ann: not before the holidays")
    assert (left(context, turn)["challenger"], left(context, turn)["tag"]) == (None, None)


def test_a_trial_whose_turn_was_broken_off_releases_what_is_better(context: Context) -> None:
    turn = begin_and_die(context)
    seen = live(context, 1.6)

    assert (seen[0].turn_state, seen[-1].turn_state) == ("OnTrial", "Promoted")
    found = left(context, turn)
    assert (found["champion"], found["challenger"], found["tag"]) == (2, None, None)
    assert found["releases"][-1][-1] == turn.id
    assert run_again(context).state == "Promoted"
    assert left(context, turn)["releases"] == found["releases"]


def test_a_trial_that_ended_and_was_not_withdrawn_is_withdrawn_by_the_next_flow(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = begin_and_die(context)

    def dies(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(trial_ending, "withdraw", dies)
        with pytest.raises(Killed):
            trials.stop(context, "ann", "not before the holidays")
    assert left(context, turn)["tag"] is not None

    assert "version 2 was still on trial" in "; ".join(approvals.reconcile(context, datetime.now(UTC)))
    assert (left(context, turn)["challenger"], left(context, turn)["tag"]) == (None, None)
    assert approvals.reconcile(context, datetime.now(UTC)) == []


def test_another_champion_ends_a_trial_whose_turn_was_broken_off(context: Context) -> None:
    turn = begin_and_die(context)
    registered.set_alias(context.mlflow, "delays", "champion", 2)

    approvals.reconcile(context, datetime.now(UTC))

    assert trial_journal.on_trial(context) is None
    assert left(context, turn)["tag"] is None


def test_a_turn_that_is_run_again_after_its_trial_leaves_another_trial_alone(context: Context, registry: Any) -> None:
    turn = begin_and_die(context)
    trials.stop(context, "ann", "not before the holidays")
    registry.add("delays", "second")
    with context.ledger.turns.take("delays", Trigger(reason="next"), Window(until=SINCE + HOUR)) as other:
        champion = context.ledger.releases.current("delays")
        assert champion is not None
        trials.begin(context, other, 3, champion)
        context.ledger.turns.finish(other, state=turn_record.ON_TRIAL, verdict="promote", reasons=("tried",))

    assert run_again(context).state == "Returned"
    state = trial_journal.on_trial(context)
    assert state is not None
    assert state.plan.id == other.id != turn.id
    challenger = registered.challenger(context.mlflow, "delays")
    assert challenger is not None
    assert challenger.version == 3


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


@pytest.mark.parametrize("strength", [1.6, 0.0])
def test_a_look_that_is_broken_off_anywhere_ends_as_one_that_was_not(
    context: Context, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_and_die(at: datetime, point: tuple[Any, str]) -> bool:
        owner, name = point
        real = getattr(owner, name)

        def dies(*given: Any, **named: Any) -> Any:
            real(*given, **named)
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(owner, name, dies)
            try:
                trials.look_at(context, at)
            except Killed:
                return True
        return False

    turn = begin(context)
    # In the order of what a look does, so that each one gets a little farther than the one before.
    alias, tag = (registered, "set_alias"), (registered, "set_version_tag")
    released = [(Releases, "intend"), alias, (Releases, "advance"), tag]
    order = [(Decisions, "record"), *(released if strength else [tag, alias]), (Turns, "finish")]
    died = []
    for hour in range(0, 96, 6):
        at = SINCE + (hour + 6) * HOUR
        traffic(context, SINCE + hour * HOUR, at, strength, hour)
        died = [point for point in order if look_and_die(at, point)]
        trials.look_at(context, at)
        if trial_journal.on_trial(context) is None:
            break
    found = left(context, turn)
    assert died == order
    assert found["turn"][0] == ("Promoted" if strength else "Returned")
    assert (found["champion"], found["challenger"], found["tag"]) == (2 if strength else 1, None, None)
    assert len(found["releases"]) == (2 if strength else 1)
    assert len({one[0] for one in found["decisions"]}) == len(found["decisions"])
    assert approvals.reconcile(context, datetime.now(UTC)) == []


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
