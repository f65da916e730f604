"""Models that know different classes, and labels that no model knows: read on all of them, and never passed over."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.training import a_spec, data_of, rows_of

from everfit.blocks.metrics import TaskKind
from everfit.blocks.spec import ModelSpec
from everfit.blocks.trials import CanaryPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.holdout import baseline_of, holdout_answers
from everfit.tasks.monitoring.reference import make_reference
from everfit.tasks.monitoring.signals.data import _renamed
from everfit.tasks.monitoring.signals.live_estimate import came_true, fit_estimator
from everfit.tasks.monitoring.signals.mature_quality import quality_signal
from everfit.tasks.monitoring.signals.previous_champion import previous_signal
from everfit.tasks.monitoring.signals.renamed_class import renamed_class
from everfit.tasks.predictions import label_recording, labels, prediction_ids, prediction_log
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.release.traffic.trial import QualityGap, TrialPlan, replay
from everfit.tasks.release.traffic.trial_evidence import read_evidence
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.tables import Table
from everfit.tasks.training.train import fit_on

SINCE = datetime(2024, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
AT = "at"


def answers(
    task: TaskKind, knows: tuple[str, ...], true: list[str], said: list[str] | None = None, sure: float = 0.9
) -> LabelledPredictions:
    """LabelledPredictions of a model, `sure` of each, one after the other."""
    frame = pd.DataFrame({AT: pd.date_range(SINCE, periods=len(true), freq="10min", tz="UTC"), "_label": true})
    chances = probabilities(knows, said or true, sure)
    if task == "binary":
        frame["_score"] = chances[:, 1]
    else:
        frame["_probabilities"] = list(chances)
    return LabelledPredictions(Window(since=SINCE, until=SINCE + len(true) * HOUR), frame, AT, task, knows)


def probabilities(knows: tuple[str, ...], said: list[str], sure: float = 0.9) -> np.ndarray:
    rest = (1 - sure) / (len(knows) - 1)
    return np.array([[sure if name == known else rest for known in knows] for name in said])


def drawn(names: str, rows: int, seed: int = 0) -> list[str]:
    return [str(one) for one in np.random.default_rng(seed).choice(list(names), rows)]


def spec_of(task: str, metric: str = "accuracy") -> ModelSpec:
    return a_spec(task, training={"metric": metric})


def test_labels_of_a_renamed_class_are_a_problem_of_the_data_and_say_nothing_of_quality() -> None:
    baseline, said = (
        baseline_of(answers("multiclass", ("a", "b", "c"), drawn("abc", 600)), spec_of("multiclass")),
        drawn("abc", 300),
    )
    for renamed in ([name.upper() for name in said], ["A"] * 200 + said[200:]):
        mature = answers("multiclass", ("a", "b", "c"), renamed, said)
        quality = quality_signal(mature, baseline, spec_of("multiclass"), usual=None, holdout=mature)
        assert quality.status == "not_enough"
        assert quality.reason.startswith("renamed class: ")
        assert quality.reason in {problem.summary for problem in _renamed(mature)}
    few = answers("multiclass", ("a", "b", "c"), ["A"] * 20 + said[20:], said)
    assert _renamed(few) == ()
    assert quality_signal(few, baseline, spec_of("multiclass"), usual=None, holdout=few).status == "measured"


def test_a_renamed_class_is_named_with_the_classes_that_the_model_knows() -> None:
    said = drawn("ab", 300)
    renamed = answers("binary", ("a", "b"), [name.upper() for name in said], said)
    assert "300 of 300 labels are of classes that the model does not know ('" in renamed_class(renamed)
    assert "it knows 'a', 'b'. Write them" in renamed_class(renamed)
    assert renamed_class(answers("binary", ("a", "b"), ["A"] * 5, said[:5])) == ""  # too few to tell


def trial(folder: Path, ours: tuple[str, ...], theirs: tuple[str, ...], rows: int = 2_000) -> QualityGap | None:
    """A look at a trial both of whose arms are right about all rows of a and c."""
    at, true = pd.date_range(SINCE, periods=rows, freq="1min", tz="UTC").as_unit("us"), drawn("ac", rows)
    for version, (arm, knows) in enumerate((("champion", theirs), ("challenger", ours)), start=1):
        mine = np.arange(rows) % 2 == version - 1
        said = [name for name, chosen in zip(true, mine, strict=True) if chosen]
        columns: dict[str, Any] = {
            "id": np.arange(rows)[mine],
            AT: at[mine],
            prediction_log.PREDICTION_ID: prediction_ids.new_ids(version, len(said)),
            prediction_log.PREDICTED_AT: at[mine],
            prediction_log.PREDICTION: said,
            prediction_log.MODEL_VERSION: [version] * len(said),
            prediction_log.ARM: [arm] * len(said),
            prediction_log.LATENCY: np.full(len(said), 5.0),
            prediction_log.CLIENT: ["ann"] * len(said),
        }
        chances = probabilities(knows, said).tolist()
        # A model of two classes is logged by the score of the second.
        columns[prediction_log.PROBABILITIES] = [None] * len(said) if len(knows) == 2 else chances
        columns[prediction_log.SCORE] = [each[1] for each in chances] if len(knows) == 2 else [None] * len(said)
        kinds = dict.fromkeys(columns, "string") | {
            "id": "long",
            AT: "datetime",
            prediction_log.PREDICTED_AT: "datetime",
        }
        kinds |= {prediction_log.MODEL_VERSION: "long", prediction_log.LATENCY: "double"}
        kinds |= {prediction_log.PROBABILITIES: "list", prediction_log.SCORE: "double"}
        log = Table(str(folder / "predictions"))
        prediction_log.append(log, prediction_log.to_rows(columns, kinds, ["id"], AT), arm)
    known = Table(str(folder / "labels"))
    keys = row_keys(pd.DataFrame({"id": np.arange(rows)}), ["id"])
    label_recording.record_labels(
        known, labels.label_rows(keys, pd.Series(true), pd.Series(at + HOUR), "multiclass", "source")
    )
    plan = TrialPlan(id="t", model="m", challenger=2, champion=1, policy=CanaryPolicy(), metric="accuracy", since=SINCE)
    knows = {1: theirs, 2: ours}
    found = read_evidence(
        log,
        known,
        replay(plan, []),
        SINCE + timedelta(days=9),
        event_time=AT,
        task="multiclass",
        classes=lambda version: knows[version],
        maturity=HOUR,
        champion=1,
    )
    return found.steps[-1].quality


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(("a", "c", "d"), ("a", "b", "c")), (("a", "c"), ("a", "b", "c")), (("a", "b", "c"), ("a", "c"))],
)
def test_arms_of_a_trial_are_read_each_in_the_order_of_its_own_classes(
    tmp_path: Path, ours: tuple[str, ...], theirs: tuple[str, ...]
) -> None:
    gap = trial(tmp_path, ours, theirs)
    assert gap is not None
    assert (gap.challenger, gap.champion, gap.gain) == (1.0, 1.0, 0.0)


def test_who_does_not_know_a_class_was_wrong_about_it() -> None:
    true = ["a", "c"] * 200
    blind, seeing = answers("multiclass", ("a", "b"), true, ["a"] * 400), answers("multiclass", ("a", "c"), true)
    every = blind.among(seeing.every_class)
    assert every.every_class == ("a", "b", "c")
    assert every.scores.shape == (400, 3)
    assert (every.scores.argmax(axis=1) == every.truth).mean() == 0.5
    assert np.allclose(every.scores.sum(axis=1), 1)


def test_classes_that_are_numbers_have_their_order() -> None:
    found = answers("multiclass", ("9", "10"), drawn("9", 30)).among(["11", "2"])
    assert found.every_class == ("2", "9", "10", "11")
    assert set(found.truth) == {1.0}


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_label_that_the_model_does_not_know_was_answered_wrongly_and_is_told(task: TaskKind) -> None:
    knows = ("a", "b") if task == "binary" else ("a", "b", "c")
    spec = spec_of(task)
    holdout = answers(task, knows, drawn("ab", 1_000))
    true = drawn("ab", 1_000, seed=1)
    came_up = [*true[:800], *["z"] * 200]
    baseline = baseline_of(holdout, spec)

    found = quality_signal(answers(task, knows, came_up, true), baseline, spec, usual=1.0, holdout=holdout)

    assert (found.status, found.rows, found.coverage) == ("measured", 1_000, 1.0)
    assert found.value == pytest.approx(0.8)
    assert baseline.value == 1.0
    assert (
        "200 of them (20.0%) are of a class that the model does not know ('z'), so its answers are wrong"
        in found.reason
    )
    fine = quality_signal(answers(task, knows, true), baseline, spec, usual=1.0, holdout=holdout)
    assert "answered wrongly" not in fine.reason


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "brier", "average_precision"])
def test_a_third_value_of_a_binary_target_makes_every_metric_worse(metric: str) -> None:
    spec, true = spec_of("binary", metric), drawn("ab", 1_000)
    said = [name if np.random.default_rng(5 + row).random() < 0.8 else "a" for row, name in enumerate(true)]
    holdout = answers("binary", ("a", "b"), true, said)
    baseline = baseline_of(holdout, spec)
    live = answers("binary", ("a", "b"), [*true[:900], *["z"] * 100], said)
    found = quality_signal(live, baseline, spec, usual=1.0, holdout=holdout)
    assert found.value is not None
    assert (found.value > baseline.value) == (metric in {"log_loss", "brier"})
    assert found.value != baseline.value


def test_an_estimate_is_held_against_rows_of_a_new_class_too() -> None:
    spec, knows = spec_of("multiclass"), ("a", "b", "c")
    said = drawn("abc", 1_500)
    flipped = [name if row % 10 else "a" for row, name in enumerate(said)]
    holdout = answers("multiclass", knows, flipped, said)
    live = answers("multiclass", knows, [*flipped[:900], *["z"] * 600], said)

    holdout = holdout.among(live.every_class)
    past = came_true(fit_estimator(holdout, spec, []), live, spec, live.window.until)

    assert past is not None
    assert past.realised == pytest.approx(0.56, abs=0.02)
    assert past.estimated > 0.8
    assert not past.came_true


def test_a_champion_before_that_knows_the_class_is_better_on_its_rows() -> None:
    spec, true = spec_of("multiclass"), drawn("abz", 1_500)
    blind = ["a" if name == "z" else name for name in true]
    mature = answers("multiclass", ("a", "b", "c"), true, blind)
    before = answers("multiclass", ("a", "b", "z"), true)

    found = previous_signal(mature, before.scores, 3, spec, knows=before.classes)

    assert found.status == "measured"
    assert found.gain == pytest.approx(true.count("z") / 1_500)


def test_the_sample_is_read_by_the_classes_of_the_model_that_was_judged(tmp_path: Path) -> None:
    """A class that first comes up in the hold-out is known to what was fitted again, and not to what was judged."""
    spec, rows = a_spec("multiclass"), rows_of("multiclass")
    first = data_of(spec, rows, tmp_path / "first").split.holdout.since
    rows["y"] = rows["y"].where((rows["y"] != "cold") | (rows["at"] >= first), "mild")
    data = data_of(spec, rows, tmp_path)
    assert "cold" not in set(data.training_rows(data.split.training)["y"])
    judged = fit_on(data, "logistic_regression", data.split.training, str(tmp_path / "judged"))
    refitted = fit_on(data, "logistic_regression", data.split.whole, str(tmp_path / "refitted"))

    reference = make_reference(data, judged, refitted)

    assert reference.classes == ("mild", "warm")
    holdout = holdout_answers(reference.sample, spec, reference.classes)
    assert holdout.every_class == ("cold", "mild", "warm")
    cold = (reference.sample["y"] == "cold").mean()
    assert cold > 0.1
    baseline = baseline_of(holdout, spec.model_copy(update={"training": spec_of("multiclass").training}))
    right = (reference.sample["_prediction"] == reference.sample["y"]).mean()
    assert baseline.value == pytest.approx(right)
    assert baseline.value < 1 - cold
