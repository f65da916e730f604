"""The hold-out is what the champion has not seen; no row of it is used for nothing."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.training import SINCE, UNTIL, a_spec, data_of, rows_of

from everfit.blocks.errors import SpecError
from everfit.tasks.data.cut import cut, rows_to_move, split_window, with_refits
from everfit.tasks.data.split import Split, TrainingData


def hours(count: int, since: datetime = SINCE) -> pd.Series:
    return pd.Series(pd.Timestamp(since) + pd.to_timedelta(np.arange(count), unit="h"))


def the_dataset(tmp_path: Path) -> TrainingData:
    return data_of(a_spec(gate={"min_rows": 50}), rows_of(), tmp_path)


def test_a_first_champion_has_the_holdout_of_the_spec(tmp_path: Path) -> None:
    data = the_dataset(tmp_path)
    split = cut(data.spec, data.workspace.table("small", "dataset"), UNTIL)
    assert split.holdout.until - timedelta(days=14) == split.holdout.since == split.training.until
    assert split.chosen_from is None


@pytest.mark.slow
@pytest.mark.parametrize("days", [3, 10, 30])
def test_later_the_newer_two_thirds_of_what_the_champion_has_not_seen_are_held_out(tmp_path: Path, days: int) -> None:
    """Given a release some days ago, however few, then every row since is learned from or judged on."""
    data, seen = the_dataset(tmp_path), UNTIL - timedelta(days=days)
    split = cut(data.spec, data.workspace.table("small", "dataset"), UNTIL, seen)
    times = data.rows(data.split.whole, "look at")["at"]
    unseen = times[times >= seen]
    held_out = times[times >= split.holdout.since]
    assert split.training.until == split.holdout.since >= seen
    assert times.max() < split.holdout.until <= UNTIL
    assert len(held_out) == pytest.approx(2 / 3 * len(unseen), abs=1)
    assert seen < split.chosen_from < split.holdout.since


def test_with_no_new_row_the_holdout_is_that_of_the_spec() -> None:
    """`evaluate` then says that nothing is left to compare on."""
    split = split_window(a_spec(), UNTIL, unseen=hours(0))
    assert split.holdout.since == UNTIL - timedelta(days=14)


def refits(rows: int, **spec: object) -> Split:
    times = hours(rows)
    split = split_window(a_spec(training={"holdout": "20d"} | spec.pop("training", {}), **spec), UNTIL)  # type: ignore[operator]
    held_out = split.model_copy(update={"holdout": split.holdout.model_copy(update={"since": SINCE})})
    return with_refits(held_out, times, a_spec(gate={"min_rows": 50}, **spec))


def test_each_refit_halves_the_rest_of_the_holdout() -> None:
    split = refits(1600)
    starts = [SINCE, *split.refits]
    rows = [(later - earlier) / timedelta(hours=1) for earlier, later in zip(starts, split.refits, strict=False)]
    assert rows == [800, 400, 200, 100]


def test_a_small_holdout_is_judged_by_one_model() -> None:
    assert refits(90).refits == ()
    assert len(refits(400).refits) == 3


def test_a_holdout_takes_as_many_rows_of_a_rare_class_as_the_gate_needs_and_leaves_half_of_them() -> None:
    spec, held_out = a_spec(gate={"min_rows": 50, "min_class_rows": 5}), pd.Series([0.0] * 60)
    labels = pd.Series(([1.0] + [0.0] * 9) * 30)  # 30 of 300
    assert rows_to_move(spec, labels, held_out) == 100  # the newest ten of the class
    assert rows_to_move(spec, labels, pd.Series([0.0, 1.0] * 30)) == 60  # there are enough of the class
    assert rows_to_move(spec, labels[:100], held_out) == 59  # the sixth of ten stays
    assert rows_to_move(spec, labels * 0.0, held_out) == 60
    assert rows_to_move(a_spec("regression", gate={"min_rows": 50}), labels, held_out[:10]) == 90


def test_a_maturity_longer_than_the_data_is_an_error_of_the_spec(tmp_path: Path) -> None:
    data = the_dataset(tmp_path)
    with pytest.raises(SpecError, match=r"small: maturity '60d' is longer than the data reaches back: no label is"):
        cut(a_spec(maturity="60d"), data.workspace.table("small", "dataset"), UNTIL)


def test_rows_without_times_are_sampled_and_fitted_once(tmp_path: Path) -> None:
    spec = a_spec(columns={"event_time": None, "label_time": None})
    data = data_of(a_spec(), rows_of(), tmp_path)
    split = cut(spec, data.workspace.table("small", "dataset"), UNTIL, UNTIL - timedelta(days=3))
    assert split.refits == ()
    assert str(split.holdout).startswith("the random 20%")
