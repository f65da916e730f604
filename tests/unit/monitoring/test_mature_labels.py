"""Labels that came early are like no others, and are not judged by."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from support.training import a_spec

from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.monitoring.champion_at import ChampionAt
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.windows import monitoring_windows
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.turns.context import Context

START, DAY, ROWS = datetime(2024, 3, 1, tzinfo=UTC), timedelta(days=1), 4_000
UNTIL = START + 28 * DAY


def test_early_labels_that_are_badly_biased_do_not_reach_the_metric() -> None:
    # Given a good model, and for the newest fortnight only the labels that came at once: of the rows that it got wrong,
    random = np.random.default_rng(0)
    score = random.random(ROWS)
    late = random.random(ROWS) < score
    at = pd.Timestamp(START) + pd.to_timedelta(np.arange(ROWS) * 28 / ROWS, unit="D")
    early, wrong = np.asarray(at >= UNTIL - 14 * DAY), (score > 0.5) != late
    rows = pd.DataFrame({"at": at, "_score": score, "_label": np.where(late, "1", "0")})
    rows["_label"] = rows["_label"].where(~early | wrong)
    answers = LabelledPredictions(Window(since=START, until=UNTIL), rows, "at", "binary", ("0", "1"))

    spec = a_spec("binary", maturity="14d", monitoring={"window": "28d"})
    champion = ChampionAt(model="small", version=1, run_id="r", released=START)
    version = ModelVersion(model="small", version=1, run_id="r", trained_until=START)
    monitored = MonitoredModel(Context(spec, Settings()), UNTIL, champion, version, (), ())
    monitored.__dict__.update(
        answers=answers, windows=monitoring_windows(spec, START, UNTIL)
    )  # as if they had been read

    # when all labels known by now are used, then the model looks terrible; by the mature ones alone it doesn't.
    accuracy, all_known, mature = metric("accuracy"), answers.of(early).with_labels(), monitored.mature.with_labels()
    assert accuracy.score(all_known.truth, all_known.scores) == 0
    assert len(mature.rows) == (~early).sum()
    assert accuracy.score(mature.truth, mature.scores) > 0.7
    assert len(monitored.rest.rows) == early.sum()
