"""A sample of the training rows keeps months and classes in their shares, however it is read."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from support.training import a_spec, data_of, rows_of

from everfit.tasks.core.records import Window
from everfit.tasks.data.split import TrainingData
from everfit.tasks.storage.tables import KEY


def thinned(folder: Path, task: str, most: int) -> tuple[TrainingData, TrainingData]:
    """The same rows whole and thinned."""
    rows = rows_of(task, 3000)
    data = data_of(a_spec(task, training={"sample": most}), rows, folder)
    return data_of(a_spec(task), rows, folder / "whole"), data


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_sample_keeps_months_and_classes_in_their_shares(task: str, tmp_path: Path) -> None:
    whole, data = thinned(tmp_path, task, 500)
    everything, sample = (each.training_rows(each.split.training) for each in (whole, data))

    assert len(sample) == data.thinning.rows == pytest.approx(500, abs=4)  # type: ignore[union-attr]
    assert data.thinning is not None
    assert data.thinning.of == len(everything)
    assert sample["at"].is_monotonic_increasing
    assert set(sample[KEY]) <= set(everything[KEY])
    by = [each["at"].dt.month if task == "regression" else each["y"] for each in (everything, sample)]
    shares = [each.value_counts(normalize=True, sort=False) for each in by]
    assert (shares[0] - shares[1]).abs().max() < 0.004


def test_the_holdout_is_read_whole_and_a_final_fit_takes_the_same_share_of_it(tmp_path: Path) -> None:
    whole, data = thinned(tmp_path, "binary", 500)
    held_out = data.split.holdout
    pd.testing.assert_frame_equal(data.rows(held_out, "judge"), whole.rows(held_out, "judge"))

    final = data.training_rows(data.final_window)
    share = (final["at"] >= held_out.since).sum() / len(data.rows(held_out, "judge"))
    assert share == pytest.approx(500 / len(whole.training_rows(whole.split.training)), abs=0.04)


@pytest.mark.slow
def test_half_a_sample_is_part_of_it_and_few_rows_are_all_taken(tmp_path: Path) -> None:
    _, data = thinned(tmp_path, "binary", 500)
    halved = data.spec.model_copy(update={"training": data.spec.training.model_copy(update={"sample": 250})})
    keys = [set(each.training_rows(data.split.training)[KEY]) for each in (data, replace(data, spec=halved))]
    assert keys[1] < keys[0]
    assert len(keys[1]) == pytest.approx(250, abs=4)
    plenty = data.spec.model_copy(update={"training": data.spec.training.model_copy(update={"sample": 3000})})
    assert replace(data, spec=plenty).thinning is None


def test_a_column_that_is_read_besides_is_of_the_same_rows(tmp_path: Path) -> None:
    _, data = thinned(tmp_path, "binary", 500)
    window = Window(since=data.split.training.since, until=data.split.training.until)
    assert list(data.rows(window, "look at", ["id"])[KEY]) == list(data.rows(window, "look at")[KEY])


def test_a_sample_needs_times() -> None:
    with pytest.raises(ValueError, match=r"training.sample: .* columns.event_time is not set"):
        a_spec(columns={"event_time": None, "label_time": None}, training={"sample": 1000})
