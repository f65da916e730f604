"""Quantiles of many values in bounded memory."""

import numpy as np
import pytest

from everfit.tasks.statistics import quantile_sketch
from everfit.tasks.statistics.quantile_sketch import ERROR, QuantileSketch


def of_parts(values: "np.typing.NDArray[np.float64]", size: int) -> QuantileSketch:
    total = QuantileSketch()
    for start in range(0, len(values), size):
        part = QuantileSketch()
        part.add(values[start : start + size])
        total += part
    return total


def test_few_values_have_numpys_percentiles() -> None:
    values = np.random.default_rng(0).lognormal(size=500)

    found = of_parts(values, 60)

    assert found.size == 500
    assert [found.percentile(share) for share in (50, 99)] == list(np.percentile(values, [50, 99]))


def test_many_values_are_counted_to_the_promised_error_however_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantile_sketch, "EXACT", 1_000)
    values = np.append(np.random.default_rng(0).lognormal(3, 2, size=20_000), np.zeros(50))

    whole, cut = of_parts(values, len(values)), of_parts(values, 700)

    assert whole.size == cut.size == 20_050
    assert whole.cells == cut.cells
    assert not cut.values.size
    for share in (0.1, 50, 90, 99, 99.9, 100):
        exact = np.percentile(values, share, method="lower")
        assert cut.percentile(share) == pytest.approx(exact, rel=1.001 * ERROR)
