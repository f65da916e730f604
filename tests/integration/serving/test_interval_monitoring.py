"""Batch scoring answers by the bounds of the hold-out, and monitoring adapts them to the labels that come."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.batch import manual_files
from everfit.tasks.monitoring.first_bounds import offer_bounds
from everfit.tasks.monitoring.live_predictions import read_live_predictions
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.monitoring.reference import Reference, log_reference
from everfit.tasks.monitoring.signals.interval_coverage import measure_intervals
from everfit.tasks.predictions import label_recording, labels, prediction_log
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.bounds_tag import read_bounds
from everfit.tasks.release import release as releasing
from everfit.tasks.scoring.loading import load_scorer
from everfit.tasks.statistics.profile import profile_frame
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.tables import KEY
from everfit.tasks.turns.context import Context

FEATURES = ["distance", "wind", "seats", "carrier", "freight"]
UNTIL = datetime(2013, 10, 12, tzinfo=UTC)


def test_bounds_come_from_the_hold_out_and_follow_the_labels(registry: Any, made_up: Any) -> None:
    spec = ModelSpec.model_validate(
        {
            "name": "delays",
            "task": "regression",
            "source": {"kind": "files", "path": "flights.csv"},
            "columns": {"key": ["flight"], "event_time": "departs", "target": "late"},
            "maturity": "1h",
            "monitoring": {"window": "12d"},
            "release": {"serving": {"intervals": 0.9}},
        }
    )
    context = Context(spec, Settings())
    # A champion whose errors in the hold-out have a deviation of one.
    registry.add("delays", "regression")
    run = registry.client.create_run(registry.client.create_experiment("delays"))
    version = registry.client.create_model_version("delays", registry.sources["regression"], run.info.run_id)
    number = int(version.version)
    registered = model_registry.model_version(registry.client, "delays", number)
    random = np.random.default_rng(0)
    held_out = made_up(1_000).assign(departs=lambda rows: rows["departs"] - pd.Timedelta(days=60))
    scorer = load_scorer(registry.client, context.ledger, registered)
    held_out[prediction_log.PREDICTION] = scorer.score(held_out[FEATURES]).values
    held_out["late"] = held_out[prediction_log.PREDICTION] + random.normal(size=1_000)
    held_out[KEY] = row_keys(held_out, ["flight"])
    profile = profile_frame(held_out, FEATURES, predictions=[prediction_log.PREDICTION])
    log_reference(registry.client, run.info.run_id, Reference(profile, held_out, ()))
    releasing.release(
        context.ledger, context.mlflow, "delays", number, expected_previous=None, reason="first", actor="gate"
    )
    offer_bounds(context, registered)
    first = read_bounds(registry.client, "delays", number)
    assert first is not None
    assert (first.rows, first.adapted_until) == (500, None)

    # Live its errors are twice as large.
    rows = made_up(2_000)
    rows.to_parquet("rows.parquet")
    manual_files.score_file(context, "rows.parquet")
    log = prediction_log.read(context.workspace.table("delays", "predictions"), None, "departs")
    assert 1.4 < log["_bound"].mean() < 1.9  # 1.645 of a normal deviation
    truth = log[prediction_log.PREDICTION] + 2 * random.normal(size=len(log))
    told = labels.label_rows(log[KEY], truth, log["departs"] + timedelta(minutes=30), "regression", "source")
    label_recording.record_labels(context.workspace.table("delays", "labels"), told)

    monitored = MonitoredModel.find(context, UNTIL)
    table = context.workspace.table("delays", "predictions")
    window = monitored.windows.window
    live = read_live_predictions(table, window, "departs", profile, number, sample_rows=100)
    found = measure_intervals(MonitoredWindow(monitored, live))
    assert found.rows > 1_900
    assert found.covered is not None
    assert 0.5 < found.covered < 0.68  # of a bound of 1.645 deviations that are twice as large
    assert found.too_few
    assert found.adapted is not None
    assert found.adapted.adapted_until == UNTIL - spec.maturity
    assert (found.adapted.bound or 0) > 1.7 * (first.bound or 0)
