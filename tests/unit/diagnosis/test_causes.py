"""The cause of a loss is named in worlds whose cause is known; `tests/bench/bench_diagnosis.py` counts over many."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.diagnosed_worlds import CAUSES, TASKS, World, binary, multiclass, regression

from everfit.blocks.errors import DataError, NotEnoughError
from everfit.tasks.core.loss_diagnosis import Diagnosis, LossSplit
from everfit.tasks.diagnosis.diagnosis import diagnose
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence, LabelledRows, row_loss_of, row_losses
from everfit.tasks.diagnosis.loss_split import split_loss
from everfit.tasks.diagnosis.shared_rows import SharedRows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "cause"),
    [
        *((binary, cause) for cause in CAUSES),
        *((regression, cause) for cause in ("changed_meaning", "unseen_rows")),
        *((multiclass, cause) for cause in ("none", "harder_rows")),
    ],
)
def test_the_cause_of_each_world_is_named(world: World, cause: str) -> None:
    found = diagnose(world(0, **CAUSES[cause]), TASKS[world]).diagnosis
    assert found.cause == cause
    assert sum(part.change for part in found.split.parts) == pytest.approx(found.split.change)
    assert all(part.low <= part.change <= part.high for part in found.split.parts)
    if cause == "none":
        assert (found.reasons, found.slices, found.advice) == ((), (), "")
    else:
        carrier = {"harder_rows": "WN", "changed_meaning": "UA", "unseen_rows": "ZZ"}.get(cause, "")
        worst = found.slices[0].name
        assert f"carrier = {carrier}" in worst or worst.startswith("distance >")  # all rows of ZZ are far away
        assert found.columns[0].name in {"carrier", "distance"}
        assert found.columns[0].certain


@pytest.mark.parametrize(("unseen_loss", "cause"), [(1.1, "mixed"), (0.5, "changed_meaning")])
def test_a_smaller_cause_is_named_from_a_quarter_of_the_loss_on(unseen_loss: float, cause: str) -> None:
    """Given that 900 rows mean something else now and 100 were never seen, then each part is the loss of its rows."""
    noise = 0.02 * np.random.default_rng(0).normal(size=2_000)
    is_new, unseen = np.arange(2_000) >= 1_000, np.arange(2_000) >= 1_900
    losses = np.where(unseen, unseen_loss, np.where(is_new, 0.4, 0.1)) + noise
    old, new = (LabelledRows(pd.DataFrame({"at": np.arange(1_000)}), losses[side]) for side in (~is_new, is_new))
    shared = SharedRows(np.where(unseen, 0.999, 0.5), np.full(2_000, 0.1), is_new)

    found = split_loss(DiagnosisEvidence.sampled(old, new, ["at"]), shared)

    expected = [0.0, 0.9 * 0.3, 0.1 * (unseen_loss - 0.1)]
    assert [part.change for part in found.parts] == pytest.approx(expected, abs=0.005)
    assert found.cause == cause


def test_a_change_of_meaning_counts_as_often_as_the_window_has_its_rows() -> None:
    """Given 250 rows in place of 750 that mean something else now, and 750 hard ones in place of 250."""
    noise = 0.02 * np.random.default_rng(0).normal(size=2_000)
    is_new = np.arange(2_000) >= 1_000
    hard = np.where(is_new, np.arange(2_000) >= 1_250, np.arange(2_000) >= 750)
    losses = np.where(hard, 0.4, np.where(is_new, 0.5, 0.1)) + noise
    old, new = (LabelledRows(pd.DataFrame({"at": np.arange(1_000)}), losses[side]) for side in (~is_new, is_new))
    shared = SharedRows(np.where(hard, 0.75, 0.25), np.where(hard, 0.4, 0.2), is_new)

    found = split_loss(DiagnosisEvidence.sampled(old, new, ["at"]), shared)

    assert [part.change for part in found.parts] == pytest.approx([0.15, 0.1, 0.0], abs=0.005)
    assert found.cause == "mixed"


def test_the_errors_of_the_parts_are_those_of_leaving_each_row_out() -> None:
    """Given weights and all three causes at once, then the influences of rows have the spread that a jackknife has."""
    random = np.random.default_rng(1)
    is_new, unseen = np.arange(160) >= 80, np.arange(160) >= 128
    losses, weights = random.random(160) * np.where(is_new, 1, 3) + 3 * is_new + unseen, 0.5 + random.random(160)
    shared = SharedRows(np.where(unseen, 0.999, random.uniform(0.2, 0.8, 160)), random.normal(size=160), is_new)

    def split(kept: np.ndarray) -> LossSplit:
        sides = [
            LabelledRows(pd.DataFrame({"at": losses[side]}), losses[side], weights=weights[side])
            for side in (kept & ~is_new, kept & is_new)
        ]
        evidence = DiagnosisEvidence(*sides, columns=("at",))
        return split_loss(evidence, SharedRows(shared.share[kept], shared.expected[kept], is_new[kept]))

    without = np.array([[part.change for part in split(np.arange(160) != row).parts] for row in range(160)])
    of_sides = [without[side] for side in (~is_new, is_new)]
    jackknife = np.sqrt(sum((len(side) - 1) * side.var(axis=0) for side in of_sides))

    errors = [part.standard_error for part in split(np.ones(160, dtype=np.bool_)).parts]
    assert errors == pytest.approx(jackknife, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("sides", [("window",), ("reference", "window")])
def test_a_column_without_any_value_stops_no_diagnosis(sides: tuple[str, ...]) -> None:
    evidence = binary(0, **CAUSES["changed_meaning"])
    for side in sides:
        rows: LabelledRows = getattr(evidence, side)
        evidence = replace(evidence, **{side: replace(rows, rows=rows.rows.assign(distance=np.nan))})
    assert diagnose(evidence, "binary").diagnosis.split.certain


@pytest.mark.slow
def test_few_rows_of_a_new_kind_are_told_from_harder_ones() -> None:
    found = diagnose(binary(2_000, far=0.08), "binary").diagnosis
    assert found.cause == "unseen_rows"
    assert 0.05 < found.split.unseen_share < 0.11


@pytest.mark.slow
@pytest.mark.parametrize("far", [0.97, 1.0])
def test_where_all_rows_are_of_a_new_kind_none_are_harder(far: float) -> None:
    """Given a window whose rows have nothing in common with the hold-out's, then that is the cause."""
    found = diagnose(binary(3, far=far), "binary").diagnosis
    assert found.cause == "unseen_rows"
    assert found.split.unseen_share > 0.95
    assert sum(part.change for part in found.split.parts) == pytest.approx(found.split.now - found.split.before)


@pytest.mark.slow
def test_rows_that_share_a_day_or_a_customer_widen_the_intervals() -> None:
    def error(evidence: DiagnosisEvidence) -> float:
        return next(
            part.standard_error for part in diagnose(evidence).diagnosis.split.parts if part.name == "changed_meaning"
        )

    alone = regression(0, turned=True)
    alone = replace(alone, reference=alone.reference.of(np.arange(1_000)), window=alone.window.of(np.arange(1_000)))
    customers = np.arange(len(alone.window)) // 40
    luck = np.random.default_rng(1).normal(size=customers.max() + 1)[customers]
    window = replace(alone.window, losses=alone.window.losses + 4 * luck)
    by_rows = replace(alone, window=window)
    assert error(replace(by_rows, window=replace(window, entities=customers))) > 1.5 * error(by_rows)
    assert error(replace(by_rows, window=replace(window, days=customers))) > 1.5 * error(by_rows)


@pytest.mark.slow
def test_the_same_evidence_gives_the_same_diagnosis_and_a_kept_one_is_read_again() -> None:
    found = diagnose(binary(5, turned=True), left_out=("month follows the event time",)).diagnosis
    assert diagnose(binary(5, turned=True), left_out=("month follows the event time",)).diagnosis == found
    assert Diagnosis.recall(found.model_dump(mode="json")) == found
    assert found.left_out == ("month follows the event time",)


def test_a_text_without_a_word_that_it_had_is_found() -> None:
    random = np.random.default_rng(2)

    def side(refunds: float, loss: float) -> LabelledRows:
        asks = random.random(1_500) < refunds
        texts = np.where(asks, "where is my refund", "where is my")
        return LabelledRows(pd.DataFrame({"text": texts}), np.where(asks, loss, 0.1) + 0.05 * random.normal(size=1_500))

    evidence = DiagnosisEvidence.sampled(side(0.2, 0.1), side(0.2, 0.8), ["text"], texts=["text"])
    found = diagnose(evidence).diagnosis
    assert found.cause == "changed_meaning"
    assert found.slices[0].name == "text has the word 'refund'"


@pytest.mark.slow
def test_rows_with_a_weight_count_by_it() -> None:
    evidence = binary(6)
    labelled = evidence.window
    weights = np.where(labelled.losses > np.median(labelled.losses), 3.0, 1.0)
    found = diagnose(replace(evidence, window=replace(labelled, weights=weights))).diagnosis.split
    assert found.now == pytest.approx(np.average(labelled.losses, weights=weights))


def test_too_few_rows_and_no_shared_column_are_refused() -> None:
    evidence = binary(7)
    few = evidence.window.of(np.arange(50))
    with pytest.raises(NotEnoughError, match="50 labelled rows of the window"):
        DiagnosisEvidence.sampled(evidence.reference, few, ["carrier"])
    with pytest.raises(DataError, match=r"neither side shows any of the columns \['colour'\]"):
        DiagnosisEvidence.sampled(evidence.reference, evidence.window, ["colour"])
    broken = replace(evidence.window, losses=np.full(len(evidence.window), np.nan))
    with pytest.raises(DataError, match="a row of the window has a loss that is no number"):
        DiagnosisEvidence.sampled(evidence.reference, broken, ["carrier"])


def test_columns_of_any_kind_are_looked_at() -> None:
    random, n = np.random.default_rng(8), 400
    rows = pd.DataFrame(
        {
            "empty": pd.Series([None] * n, dtype="float64"),
            "flag": random.random(n) < 0.5,
            "whole": pd.array(random.integers(0, 5, n), dtype="Int64"),
            "code": pd.Categorical(random.choice(["a", "b", None], n)),
            "at": pd.date_range("2024-01-01", periods=n, tz="UTC"),
            "id": [f"row {number}" for number in range(n)],
            "mixed": [1 if number % 2 else "one" for number in range(n)],
        }
    )
    side = LabelledRows(rows, random.random(n))
    found = diagnose(DiagnosisEvidence.sampled(side, side, list(rows))).diagnosis
    assert found.cause == "none"
    assert found.left_out == ("at has values that no tree can split, such as dates",)


def test_a_larger_side_is_sampled_and_the_counts_stay() -> None:
    evidence = binary(9)
    small = DiagnosisEvidence.sampled(evidence.reference, evidence.window, evidence.columns, most=500)
    assert (len(small.reference), len(small.window)) == (500, 500)
    assert (small.reference_rows, small.window_rows) == (2_000, 2_000)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [("brier", [0.04, 0.36]), ("log_loss", [-np.log(0.8), -np.log(0.4)]), ("error", [0.0, 1.0])],
)
def test_the_loss_of_a_row(loss: str, expected: list[float]) -> None:
    assert row_losses([1, 0], [0.8, 0.6], loss).tolist() == pytest.approx(expected)
    two = np.array([[0.2, 0.8], [0.4, 0.6]])
    assert row_losses([1, 0], two, loss).tolist() == pytest.approx(expected)


def test_each_metric_has_a_loss_of_a_row() -> None:
    assert row_loss_of("roc_auc", "binary") == "brier"
    assert row_loss_of("f1_macro", "multiclass") == "error"
    assert row_loss_of("rmse", "regression") == "squared_error"
    assert row_losses([2.0], [3.5], row_loss_of("mae", "regression")).tolist() == [1.5]
    assert row_losses([2.0], [3.0], row_loss_of("mape", "regression")).tolist() == [0.5]
