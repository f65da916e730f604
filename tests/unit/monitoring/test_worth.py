"""The gains of a month are weighed by rows, and the sum of months says what the loop has been worth."""

from datetime import UTC, datetime

import pytest

from everfit.tasks.monitoring.worth import (
    MonthGain,
    MonthWorth,
    combined,
    months_of,
    sum_of,
    worth_heads,
    worth_rows,
    worth_summary,
)


def month(name: str, gain: float, error: float = 0.01, **facts: object) -> MonthWorth:
    found = MonthGain(rows=100, gain=gain, standard_error=error, money=facts.pop("money", None))  # type: ignore[arg-type]
    return MonthWorth(month=name, metric="roc_auc", rows=100, alone=found, **facts)  # type: ignore[arg-type]


def test_gains_are_weighed_by_rows() -> None:
    found = combined(
        [
            MonthGain(rows=300, gain=0.0, standard_error=0.0),
            MonthGain(rows=100, gain=0.2, standard_error=0.04, money=5.0),
        ]
    )
    assert found is not None
    assert (found.rows, found.gain, found.standard_error) == (400, pytest.approx(0.05), pytest.approx(0.01))
    assert found.money is None  # a part of it is not known
    assert combined([]) is None


def test_months_end_before_the_present() -> None:
    begin, end = datetime(2023, 11, 20, 5, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
    assert [f"{span.since:%Y-%m}" for span in months_of(begin, end)] == ["2023-11", "2023-12", "2024-01"]
    assert list(months_of(end, datetime(2024, 2, 29, tzinfo=UTC))) == []


def test_a_verdict_needs_an_interval_on_one_side_of_nothing() -> None:
    assert month("2024-01", 0.05).verdict == "better"
    assert month("2024-01", -0.05).verdict == "worse"
    assert month("2024-01", 0.01).verdict == "uncertain"
    assert MonthWorth(month="2024-01", metric="roc_auc").verdict == "unknown"


def test_the_sum_pays_for_the_turns() -> None:
    months = [month("2024-01", 0.1, money=40.0, turns=1, cost=10.0, unit="EUR"), month("2024-02", 0.0, money=0.0)]
    total = sum_of(months)
    assert (total.rows, total.turns, total.cost, total.net) == (200, 1, 10.0, 30.0)
    assert total.alone is not None
    assert total.alone.gain == pytest.approx(0.05)
    months[1] = months[1].model_copy(update={"unit": "EUR"})
    assert worth_heads(months)[-1] == "net EUR"
    assert list(worth_rows(months))[-1][-3:] == ["40.00", "10.00", "30.00"]
    assert worth_summary(months) == (
        "2024-01 to 2024-02: 0.05 roc_auc better than the first model left alone (95 %: 0.03614 to 0.06386; that is "
        "certain), by 1 turn. Less the turns that is 30 EUR."
    )
    assert worth_summary([month("2024-01", -0.01)]).startswith("2024-01: 0.01 roc_auc worse than the first model")


def test_without_a_month_the_summary_says_so() -> None:
    assert "not known" in worth_summary([])
    assert "not known" in worth_summary([MonthWorth(month="2024-01", metric="roc_auc", notes=("lost",))])
    assert worth_heads([month("2024-01", 0.1)])[-1] == "turns"
