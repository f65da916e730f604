"""The parts of the rows that workers read are together the rows that a turn trains on, as the estimator sees them."""

from pathlib import Path

import numpy as np
import pytest
from support.training import a_spec, data_of, rows_of

from everfit.tasks.data.row_chunks import training_chunks
from everfit.tasks.storage.tables import KEY
from everfit.tasks.training.pipelines import build_pipeline
from everfit.tasks.training.worker_fit import read_worker_rows

LIMITS = {"forgetting": {"max_loss": 0.1, "share": 0.1}}


def test_parts_have_all_rows_of_a_turn_once_and_each_has_all_times_and_classes(tmp_path: Path) -> None:
    data = data_of(a_spec(gate=LIMITS), rows_of(rows=3000), tmp_path)
    whole = data.split.training
    expected = data.training_rows(whole)
    parts = [list(training_chunks(data, whole, part, 3)) for part in range(3)]

    keys = [key for chunks in parts for chunk in chunks for key in chunk[KEY]]
    assert sorted(keys) == sorted(expected[KEY])
    for chunks in parts:
        rows = sum(map(len, chunks))
        assert rows == pytest.approx(len(expected) / 3, rel=0.15)
        assert np.mean([value for chunk in chunks for value in chunk["y"]]) == pytest.approx(
            expected["y"].mean(), abs=0.05
        )


def test_a_part_is_in_order_of_time_with_weights_by_age(tmp_path: Path) -> None:
    data = data_of(a_spec(training={"half_life": "10d"}), rows_of(), tmp_path)
    whole = data.split.training
    expected = data.training_rows(whole)
    columns = build_pipeline("hist_gradient_boosting", "binary", expected[data.features], 0)[:-1]
    columns.fit(expected[data.features], expected["y"])

    part = read_worker_rows(data, whole, columns, 0, 1)

    np.testing.assert_array_equal(part.features, columns.transform(expected[data.features]))
    assert (part.target == expected["y"]).all()
    assert part.weights is not None
    ages = (whole.until - expected["at"]).dt.total_seconds() / 86_400
    np.testing.assert_allclose(part.weights, 0.5 ** (ages / 10))
