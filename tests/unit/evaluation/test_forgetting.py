"""What a challenger forgets is told by rows of the past that no model was trained on."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from support.evaluating import PASSED
from support.remedied_worlds import MOVED, UNTIL, world_rows, world_spec
from support.training import data_of

from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.data.cut import cut
from everfit.tasks.data.row_choice import kept_rows
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation.evaluate import evaluate
from everfit.tasks.evaluation.measurement import Incumbent
from everfit.tasks.gate import Check, decide
from everfit.tasks.gate.checks.forgetting import Forgetting
from everfit.tasks.training.results import read_model
from everfit.tasks.training.train import fit_on

LIMITS = {"forgetting": {"max_loss": 0.05, "share": 0.2, "stretches": 3}}


def judged(folder: Path, since: pd.Timestamp | None) -> tuple[Forgetting, Check, TrainingData]:
    """Judge a challenger that has learned from the rows since a moment, after the concept has changed."""
    spec = world_spec("concept", gate=LIMITS)
    data = data_of(spec, world_rows("concept", seed=0), folder, UNTIL)
    split = cut(spec, data.workspace.table(spec.name, "dataset"), UNTIL, MOVED)
    data = TrainingData(spec, data.snapshot, split, UNTIL, data.workspace)
    files = [data.workspace.turn_file("small", "t", f"{name}.skops") for name in ("champion", "challenger")]
    champion = fit_on(data, "logistic_regression", Window(until=MOVED), files[0])
    window = Window(since=since, until=split.holdout.since)
    challenger = fit_on(data, "logistic_regression", window, files[1])
    version = ModelVersion(model="small", version=1, run_id="r", trained_until=MOVED)
    evidence = evaluate(data, challenger, Incumbent(version, read_model(champion, data.workspace)), PASSED)
    found = evidence.area("forgetting", Forgetting)
    assert found is not None
    [check] = [check for check in decide(evidence, spec.gate).checks if check.name == "forgetting"]
    return found, check, data


@pytest.mark.slow
def test_a_challenger_that_knows_the_new_world_alone_has_forgotten_the_old_one(tmp_path: Path) -> None:
    found, check, _ = judged(tmp_path, pd.Timestamp(MOVED))
    assert not check.passed
    assert "kept rows of 2024-01" in check.reason
    assert [part.comparison is not None for part in found.stretches] == [True] * 3
    assert found.stretches[0].comparison.difference < -0.5  # type: ignore[union-attr]
    assert found.stretches[-1].window.until > MOVED


@pytest.mark.slow
def test_one_that_knows_both_worlds_has_lost_less(tmp_path: Path) -> None:
    found, _, _ = judged(tmp_path / "both", None)
    only_new, _, _ = judged(tmp_path / "new", pd.Timestamp(MOVED))
    both, new = (one.stretches[0].comparison for one in (found, only_new))
    assert both is not None
    assert new is not None
    assert both.difference > new.difference + 0.3


@pytest.mark.slow
def test_no_model_is_trained_on_a_kept_row_and_later_turns_keep_the_same_ones(tmp_path: Path) -> None:
    _, _, data = judged(tmp_path, None)
    whole = Window(until=UNTIL)
    everything, trained = data.rows(whole, "count"), data.training_rows(whole)
    kept = kept_rows(everything, data.spec)
    assert kept.mean() == pytest.approx(0.2, abs=0.03)
    assert len(trained) == (~kept).sum()
    assert not kept_rows(trained, data.spec).any()
    earlier = data.rows(Window(until=UNTIL - timedelta(days=20)), "count")
    assert kept_rows(earlier, data.spec).tolist() == kept[: len(earlier)].tolist()


def test_too_few_kept_rows_do_not_pass(tmp_path: Path) -> None:
    spec = world_spec("concept", gate={"forgetting": {"max_loss": 0.05, "share": 0.01}})
    data = data_of(spec, world_rows("concept", seed=0), tmp_path, UNTIL)
    split = cut(spec, data.workspace.table(spec.name, "dataset"), UNTIL, MOVED)
    data = TrainingData(spec, data.snapshot, split, UNTIL, data.workspace)
    champion = fit_on(
        data, "logistic_regression", Window(until=MOVED), data.workspace.turn_file("small", "t", "c.skops")
    )
    version = ModelVersion(model="small", version=1, run_id="r", trained_until=MOVED)
    incumbent = Incumbent(version, read_model(champion, data.workspace))
    [check] = [
        one for one in decide(evaluate(data, champion, incumbent, PASSED), spec.gate).checks if one.name == "forgetting"
    ]
    assert not check.passed
    assert "fewer than 100 rows are kept" in check.reason
