"""A domain classifier sees what no column shows by itself."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from support.drifting import drift_between

from everfit.blocks.errors import DataError
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.monitoring.signals.joint_drift import joint_drift
from everfit.tasks.statistics.paired_tests import delong_area

POLICY = MonitoringPolicy()


def _frame(correlation: float, seed: int, rows: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    first = rng.normal(size=rows)
    second = correlation * first + np.sqrt(1 - correlation**2) * rng.normal(size=rows)
    letters = rng.choice(["a", "b", None], size=rows)
    return pd.DataFrame({"first": first, "second": second, "letter": letters})


def test_a_changed_correlation_is_seen_though_each_column_stays_the_same() -> None:
    reference, current = _frame(0.9, 0), _frame(-0.9, 1)
    assert drift_between(reference, current, list(reference), POLICY).drifted is False
    result = joint_drift(reference, current, list(reference), POLICY)
    assert result.drifted
    assert result.low > 0.6


@pytest.mark.slow
def test_two_samples_of_one_distribution_cannot_be_told_apart() -> None:
    results = [joint_drift(_frame(0.9, 2 * i), _frame(0.9, 2 * i + 1), ["first", "letter"], POLICY) for i in range(2)]
    assert not any(result.drifted for result in results)
    assert all(0.4 < result.auc < 0.58 for result in results)


def test_the_area_is_that_of_scikit_learn_and_its_error_that_of_repeated_samples() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=80), rng.normal(0.8, 1, size=60)) for _ in range(300)]
    labels = np.repeat([0.0, 1.0], [80, 60])
    results = [delong_area(labels, np.concatenate(pair)) for pair in pairs]
    assert results[0][0] == pytest.approx(roc_auc_score(labels, np.concatenate(pairs[0])))
    assert np.std([auc for auc, _ in results]) == pytest.approx(np.mean([error for _, error in results]), rel=0.1)


def test_too_few_rows_and_no_columns_are_errors() -> None:
    with pytest.raises(DataError, match="too few"):
        joint_drift(_frame(0, 0), _frame(0, 1, rows=20), ["first"], POLICY)
    with pytest.raises(DataError, match="none of the columns"):
        joint_drift(_frame(0, 0), _frame(0, 1), [], POLICY)
