"""A challenger is tried in the shadow: it predicts the same rows, and both are compared in pairs as labels mature."""

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.trials import HOUR, SINCE, begin, two_versions

from everfit.blocks.releasing import ReleasePolicy
from everfit.tasks.predictions import label_recording, labels, prediction_ids, prediction_log
from everfit.tasks.registry import model_registry as registered
from everfit.tasks.release.traffic import trials
from everfit.tasks.release.traffic.traffic_split import read_split
from everfit.tasks.release.traffic.trial_page import trial_page
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.turns.context import Context


@pytest.fixture
def context(registry: Any) -> Context:
    made = two_versions(registry)
    shadow = {"bake_time": "6h", "min_labels": 100, "max_time": "2d"}
    release = ReleasePolicy.model_validate({"strategy": "shadow", "shadow": shadow})
    return Context(made.spec.model_copy(update={"release": release}), made.settings)


def both(context: Context, hour: int, strength: float, hours: int = 6, *, odd: bool = False) -> None:
    """Both predict 40 rows an hour; their errors have much in common, but perhaps for one carrier."""
    random = np.random.default_rng(hour)
    since = SINCE + hour * HOUR
    at = pd.date_range(since, since + hours * HOUR, freq="90s", inclusive="left", tz="UTC").as_unit("us")
    flight, count = int(since.timestamp()) + np.arange(len(at)), len(at)
    late = random.random(count) < 0.5
    carrier = np.where(np.arange(count) % 4 == 0, "UA", "AA")
    shared = random.normal(size=count)
    kinds = {"departs": "datetime", "flight": "long", prediction_log.PREDICTED_AT: "datetime"}
    kinds |= {prediction_log.SCORE: "double", prediction_log.MODEL_VERSION: "long", prediction_log.LATENCY: "double"}
    for version, arm, sure in ((1, "champion", 1.0), (2, "shadow", strength)):
        noise = shared + (np.where(odd & (carrier == "UA"), 4.0, 0.2)) * random.normal(size=count)
        score = 1 / (1 + np.exp(-(noise + sure * np.where(late, 1, -1))))
        columns = {
            "departs": at,
            "flight": flight,
            "carrier": carrier,
            prediction_log.PREDICTION_ID: prediction_ids.new_ids(int(since.timestamp() * 1000) + version, count),
            prediction_log.PREDICTED_AT: at,
            prediction_log.PREDICTION: [str(int(one > 0.5)) for one in score],
            prediction_log.SCORE: score,
            prediction_log.MODEL_VERSION: [version] * count,
            prediction_log.ARM: [arm] * count,
            prediction_log.LATENCY: [1.0 if version == 1 else 5_000.0] * count,
            prediction_log.CLIENT: [prediction_log.BATCH] * count,
        }
        rows = prediction_log.to_rows(columns, dict.fromkeys(columns, "string") | kinds, ["flight"], "departs")
        table = context.workspace.table("delays", "predictions")
        prediction_log.append(table, rows, f"{arm}-{since.isoformat()}")
    keys = row_keys(pd.DataFrame({"flight": flight}), ["flight"])
    given = labels.label_rows(keys, pd.Series(late.astype(int)), pd.Series(at + HOUR), "binary", "source")
    label_recording.record_labels(context.workspace.table("delays", "labels"), given)


def live(context: Context, strength: float, hours: int) -> list[Any]:
    seen = []
    for hour in range(0, hours, 6):
        both(context, hour, strength)
        found = trials.look_at(context, SINCE + (hour + 6) * HOUR)
        assert found is not None
        seen.append(found)
        if found.state.end is not None:
            break
    return seen


def test_a_better_challenger_is_released_and_nobody_saw_it_before(context: Context) -> None:
    turn = begin(context)
    challenger = registered.challenger(context.mlflow, "delays")
    assert challenger is not None
    arms = read_split(context.mlflow, challenger)
    assert arms is not None
    assert (arms.share, arms.shadow) == (0, True)
    assert trials.in_shadow(context)

    seen = live(context, 1.6, 48)

    assert [one.look.verdict for one in seen[:-1]] == ["wait"] * (len(seen) - 1)
    assert seen[-1].look.verdict == "release"
    reasons = seen[-1].look.reasons
    assert reasons[0].startswith("Released after its trial: ")
    assert reasons[-2].startswith("both agree to ")
    assert reasons[-1] == (
        "a request takes the shadow 5e+03 ms at the median and 5e+03 ms at p95, without waiting; "
        "the champion 1 and 1 ms, with waiting"
    )
    release = context.ledger.releases.of_turn(turn.id)
    assert release is not None
    assert (release.version, release.actor) == (2, "trial")
    assert not trials.in_shadow(context)
    gap = seen[-1].look.evidence.steps[0].quality
    assert gap.challenger_rows == gap.champion_rows
    assert trials.trial_json(seen[-1])["strategy"] == "shadow"


def test_the_slice_in_which_a_shadow_answers_otherwise_is_named(context: Context) -> None:
    begin(context)
    both(context, 0, 1.0, odd=True)
    found = trials.look_at(context, SINCE + 6 * HOUR)

    assert found is not None
    step = trials.trial_json(found)["evidence"]["steps"][0]
    assert [(one["name"], one["certain"]) for one in step["divergence"]] == [
        ("carrier = UA", True),
        ("carrier = AA", False),
    ]
    assert step["divergence"][0]["rows"] == 60
    named = [reason for reason in found.look.reasons if reason.startswith("they differ most where carrier = UA: ")]
    assert len(named) == 1
    page = trial_page(trials.trial_json(found))
    assert "| carrier = UA | 60 | " in page
    assert "beyond chance" in page


def test_a_worse_challenger_is_returned_and_an_equal_one_at_the_end(context: Context) -> None:
    begin(context)
    worse = live(context, 0.4, 48)[-1]
    assert (worse.look.verdict, worse.turn_state) == ("return", "Returned")
    assert "significantly worse than the champion's" in worse.look.reasons[0]
    assert registered.challenger(context.mlflow, "delays") is None


def test_an_equal_challenger_waits_until_its_time_is_over(context: Context) -> None:
    begin(context)
    seen = live(context, 1.0, 54)
    assert {one.look.verdict for one in seen[:-1]} == {"wait"}
    assert "is not proven to be better yet" in seen[-2].look.reasons[0]
    assert seen[-1].look.reasons[0] == "Returned: 2d have passed, and it is not proven to be better yet"
    assert seen[-1].state.looked_at - SINCE <= timedelta(hours=54)
