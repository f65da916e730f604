"""Statistics and verdicts are those of the real Evidently."""

import importlib
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.drifting import drift_between

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.monitoring.report.text_descriptors import import_evidently
from everfit.tasks.statistics import divergence
from everfit.tasks.statistics.columns import kind_of
from everfit.tasks.statistics.divergence import Counts


@pytest.fixture(scope="module")
def evidently() -> Any:
    return import_evidently()


def _columns() -> dict[str, tuple[pd.Series, pd.Series, bool]]:
    rng = np.random.default_rng(7)
    normal, shifted = rng.normal(size=5_000), rng.normal(0.4, 1.3, size=3_000)
    with_gaps = np.where(rng.random(3_000) < 0.2, np.nan, shifted)
    letters = rng.choice(list("abcdef"), p=[0.4, 0.3, 0.2, 0.05, 0.04, 0.01], size=5_000)
    new_letters = rng.choice(list("abcdeg"), p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.05], size=3_000)
    rare = np.where(np.arange(200_000) == 7, "rare", "usual")
    return {
        "numbers": (pd.Series(normal), pd.Series(shifted), True),
        "numbers with gaps and infinities": (pd.Series([*normal, np.inf]), pd.Series([*with_gaps, -np.inf]), True),
        "whole numbers": (pd.Series(rng.poisson(30, 5_000)), pd.Series(rng.poisson(33, 3_000)), True),
        "few whole numbers": (pd.Series(rng.poisson(2, 5_000)), pd.Series(rng.poisson(3, 3_000)), True),
        "heavy tail": (pd.Series(np.exp(3 * normal)), pd.Series(np.exp(3 * shifted)), True),
        "letters": (pd.Series(letters), pd.Series(new_letters), False),
        "a very rare category": (pd.Series(rare), pd.Series(["usual"] * 900 + ["other"] * 100), False),
        "constant": (pd.Series([1.0] * 500), pd.Series([1.0] * 500), True),
    }


def _cells_of_evidently(reference: pd.Series, current: pd.Series, *, numeric: bool) -> tuple[Counts, Counts]:
    """Count both over the cells that Evidently 0.7 makes (`get_binned_data`), missing values left out.

    Those depend on both sides together: Sturges' equal widths over the range of both, or every value found on either
    side when the reference has at most 20 of them. They can't be fixed when a model is trained, and one wild value
    makes all others fall into one cell, so decisions use the reference's own cells.
    """
    old, new = (side.replace([-np.inf, np.inf], np.nan).dropna() for side in (reference, current))
    if numeric and old.nunique() > divergence.DISCRETE:
        edges = np.histogram_bin_edges(np.asarray(pd.concat([old, new]).to_numpy()), bins="sturges")
        return np.histogram(old, edges)[0], np.histogram(new, edges)[0]
    both = pd.concat([old.value_counts(), new.value_counts()], axis=1).fillna(0).to_numpy().astype(np.int64)
    return both[:, 0], both[:, 1]


@pytest.mark.parametrize("name", list(_columns()))
def test_the_same_values_as_evidently_on_its_own_cells(name: str, evidently: Any) -> None:
    stattests = importlib.import_module("evidently.legacy.calculations.stattests")
    reference, current, numeric = _columns()[name]
    column_type = importlib.import_module("evidently.legacy.core").ColumnType
    kind = column_type.Numerical if numeric else column_type.Categorical
    clean = [side.replace([-np.inf, np.inf], np.nan).dropna() for side in (reference, current)]

    counts = _cells_of_evidently(reference, current, numeric=numeric)

    psi = stattests.psi_stat_test(*clean, kind, None).drift_score
    assert divergence.psi(*counts) == pytest.approx(psi, rel=1e-9, abs=1e-12)
    distance = stattests.jensenshannon_stat_test(*clean, kind, None).drift_score
    assert divergence.jensenshannon(*counts) == pytest.approx(distance, rel=1e-9, abs=1e-7)


def _cases(rows: int) -> dict[str, tuple[pd.Series, pd.Series, bool]]:
    """Reference, window and whether they differ: as a person would label them."""
    rng = np.random.default_rng(11)
    normal = [rng.normal(size=rows) for _ in range(2)]
    letters = [pd.Series(rng.choice(list("abcd"), p=[0.4, 0.3, 0.2, 0.1], size=rows)) for _ in range(2)]
    codes = [pd.Series(rng.choice(8, size=rows)) for _ in range(2)]
    skewed = [pd.Series(np.exp(rng.normal(size=rows))) for _ in range(2)]
    gaps = pd.Series(np.where(rng.random(rows) < 0.6, np.nan, normal[1]))
    return {
        "nothing": (pd.Series(normal[0]), pd.Series(normal[1]), False),
        "nothing, skewed": (skewed[0], skewed[1], False),
        "nothing, letters": (letters[0], letters[1], False),
        "nothing, codes": (codes[0], codes[1], False),
        "mean shift": (pd.Series(normal[0]), pd.Series(normal[1] + 0.8), True),
        "slight mean shift": (pd.Series(normal[0]), pd.Series(normal[1] + 0.1), False),
        "variance": (pd.Series(normal[0]), pd.Series(normal[1] * 2), True),
        "other codes": (codes[0], pd.Series(np.minimum(codes[1] + 2, 7)), True),
        "new category": (letters[0], letters[1].where(rng.random(rows) > 0.2, "new"), True),
        "category shares": (letters[0], letters[1].replace({"a": "d"}), True),
        "missing share": (pd.Series(normal[0]), gaps, False),
        "constant": (pd.Series(np.ones(rows)), pd.Series(np.ones(rows)), False),
        "empty": (pd.Series(normal[0]), pd.Series(np.full(rows, np.nan)), False),
        "flag": (pd.Series(rng.random(rows) < 0.5), pd.Series(rng.random(rows) < 0.8), True),
    }


def _drifted_by_evidently(
    evidently: Any, reference: pd.DataFrame, current: pd.DataFrame, policy: MonitoringPolicy
) -> set[str]:
    numeric = [name for name in reference.columns if kind_of(reference[name]) == "numeric"]
    other = [name for name in reference.columns if name not in numeric]
    metrics = [
        evidently.metrics.ValueDrift(
            column=name, method=policy.method(name, kind), threshold=policy.threshold(name, kind)
        )
        for names, kind in ((numeric, "numeric"), (other, "categorical"))
        for name in names
    ]
    definition = evidently.DataDefinition(numerical_columns=numeric, categorical_columns=other)
    sides = [evidently.Dataset.from_pandas(side, definition) for side in (current, reference)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = evidently.Report(metrics, include_tests=True).run(*sides).dict()["tests"]
    return {test["name"].removeprefix("Value Drift for column ") for test in tests if test["status"] == "FAIL"}


@pytest.mark.parametrize("rows", [1_000, 200_000])
def test_the_same_columns_have_drifted_as_evidently_says(rows: int, evidently: Any) -> None:
    cases = _cases(rows)
    reference = pd.DataFrame({name: case[0] for name, case in cases.items()})
    current = pd.DataFrame({name: case[1] for name, case in cases.items()})
    policy = MonitoringPolicy()

    result = drift_between(reference, current, list(cases), policy)

    ours = set(result.drifted_columns)
    assert ours == {name for name, case in cases.items() if case[2]}
    assert ours == _drifted_by_evidently(
        evidently, reference.drop(columns="empty"), current.drop(columns="empty"), policy
    )
    # Evidently raises on the empty one; here it is neither drift nor no drift.
    empty = next(column for column in result.columns if column.column == "empty")
    assert (empty.status, empty.drifted) == ("empty", None)


def test_a_skewed_column_that_doubles_is_seen_where_equal_widths_see_nothing(evidently: Any) -> None:
    # Equal widths over the range of a long tail put nearly all rows into one cell.
    rng = np.random.default_rng(3)
    for rows in (1_000, 200_000):
        reference = pd.DataFrame({"price": np.exp(1.5 * rng.normal(size=rows))})
        current = pd.DataFrame({"price": np.exp(1.5 * rng.normal(size=rows)) * 2})
        assert drift_between(reference, current, ["price"], MonitoringPolicy()).drifted
        assert not _drifted_by_evidently(evidently, reference, current, MonitoringPolicy())
