"""A model on trial: two versions of it, the traffic of both arms, and what a trial leaves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Turn
from everfit.tasks.predictions import label_recording, labels, prediction_ids, prediction_log
from everfit.tasks.registry import model_registry as registered
from everfit.tasks.release import release as releasing
from everfit.tasks.release.traffic import trial_journal, trials
from everfit.tasks.release.traffic.traffic_split import TrafficSplit
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context

SINCE = datetime(2024, 1, 1, tzinfo=UTC)


HOUR = timedelta(hours=1)


def two_versions(registry: Any) -> Context:
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
    label_recording.record_labels(context.workspace.table("delays", "labels"), told)


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
