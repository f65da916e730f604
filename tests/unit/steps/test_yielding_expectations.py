"""Expectations that everfit inferred yield to measured quality; those of a person stay."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.triage import broken, decide, past, quality, signals
from support.triage_cases import CASES
from support.turns import Loop, sales

from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion, Trigger
from everfit.tasks.data.suite import infer_suite, keep_suite, suite_of
from everfit.tasks.monitoring.champion_at import ChampionAt
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.triage_history import TRIAGE, JudgedWindow, is_called_by_measured_loss
from everfit.tasks.steps.actions import yield_expectations
from everfit.tasks.triage.history import History
from everfit.tasks.triage.signals import INFERRED_BOUND, Signals
from everfit.tasks.turns.context import Context

FEBRUARY, MARCH, APRIL = (datetime(2024, month, 1, tzinfo=UTC) for month in (2, 3, 4))


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """A month of sales in the dataset, with the suite that was inferred from them."""
    monkeypatch.setenv("EVERFIT_WORKSPACE", str(tmp_path / "workspace"))
    made = Loop(tmp_path)
    made.write("sales.csv", sales(100))
    made.turn(FEBRUARY)
    keep_suite(made.spec, infer_suite(made.dataset(), made.spec), made.workspace)
    return made


def look(loop: Loop, *, harmless: bool) -> tuple[str, ...]:
    """A look at prices that have come empty for weeks, over quality that is as before, or is not."""
    before = History(windows=tuple(past(number, broken=("price",)) for number in (3, 4)))
    actual = signals(5, data=broken("missing", "price"), quality=quality(0.75 if harmless else 0.6, 5))
    return look_at(loop, actual, before)


def look_at(loop: Loop, actual: Signals, before: History) -> tuple[str, ...]:
    champion = ChampionAt(model="sales", version=1, run_id="r", released=FEBRUARY)
    version = ModelVersion(model="sales", version=1, run_id="r", trained_until=FEBRUARY)
    monitored = MonitoredModel(Context(loop.spec, Settings()), MARCH, champion, version, (), ())
    result: tuple[str, ...] = yield_expectations.fn(monitored, actual, decide(actual, before))
    return result


def bounded(loop: Loop) -> set[Any]:
    suite = suite_of(loop.spec, loop.workspace) or ()
    return {item.kwargs.get("column") for item in suite if "mostly" in item.kwargs}


def test_a_harmless_change_is_let_in_by_the_next_turn(loop: Loop) -> None:
    rows = sales(150)
    rows.loc[100:, "price"] = None
    assert "price" in bounded(loop)

    assert look(loop, harmless=True) == ("price",)
    assert look(loop, harmless=True) == ()  # once

    assert "price" not in bounded(loop)
    assert "shop" in bounded(loop)
    loop.write("more.csv", rows.tail(50))
    assert loop.turn(MARCH)[1].passed


def test_a_change_that_costs_quality_is_refused_as_before(loop: Loop) -> None:
    assert look(loop, harmless=False) == ()
    assert "price" in bounded(loop)


def test_expectations_of_a_person_stay(loop: Loop) -> None:
    loop.changes["expectations"] = {"suite": [{"type": "expect_column_to_exist", "kwargs": {"column": "price"}}]}
    assert look(loop, harmless=True) == ()


def test_an_accepted_suite_stays(loop: Loop) -> None:
    keep_suite(loop.spec, infer_suite(loop.dataset(), loop.spec), loop.workspace, accepted=True)
    assert look(loop, harmless=True) == ()
    assert "price" in bounded(loop)


def dearer(loop: Loop) -> None:
    """Rows after February whose prices are far beyond those of before."""
    loop.write("more.csv", sales(50, since="2024-02-10", first=100).assign(price=1_000.0))


@pytest.mark.slow
def test_a_turn_that_lost_quality_calls_for_is_not_refused_by_an_inferred_bound(loop: Loop) -> None:
    dearer(loop)
    refused = loop.turn(MARCH, "by-cadence")[1]
    assert not refused.passed
    assert "price" in bounded(loop)

    taken = loop.turn(MARCH, "by-loss", quality_is_lost=True)[1]
    assert taken.passed
    assert [name for name in taken.yielded if "column=price" in name] == list(taken.yielded) != []
    assert loop.count("dataset") == 150  # with the rows that were refused
    loop.write("yet-more.csv", sales(50, since="2024-03-10", first=150).assign(price=1_000.0))
    assert loop.turn(APRIL, "the bound is gone")[1].passed


@pytest.mark.slow
def test_what_a_person_accepted_or_what_has_no_exceptions_refuses_it_all_the_same(loop: Loop) -> None:
    dearer(loop)
    keep_suite(loop.spec, infer_suite(loop.dataset(), loop.spec), loop.workspace, accepted=True)
    assert not loop.turn(MARCH, "accepted", quality_is_lost=True)[1].passed

    keep_suite(loop.spec, infer_suite(loop.dataset(), loop.spec), loop.workspace)
    loop.write("more.csv", sales(50, since="2024-02-10", first=100).drop(columns="shop"))
    assert not loop.turn(MARCH, "no-column", quality_is_lost=True)[1].passed


@pytest.mark.parametrize(("calls_turn", "removed"), [(True, ("price",)), (False, ())])
def test_bounds_that_yield_are_removed_once_a_turn_is_called(
    loop: Loop, calls_turn: bool, removed: tuple[str, ...]
) -> None:
    before = History(windows=(past(4, broken=("price",)),))
    lost = quality(0.65 if calls_turn else 0.74, 5, standard_error=0.012 if calls_turn else 0.05)
    assert look_at(loop, signals(5, data=broken(INFERRED_BOUND, "price"), quality=lost), before) == removed


@pytest.mark.parametrize(("case", "measured"), [("drift with loss", True), ("estimated loss, no labels", False)])
def test_only_a_loss_that_labels_show_makes_bounds_yield(loop: Loop, case: str, measured: bool) -> None:
    context = Context(loop.spec, Settings())
    found, before, changes, verdict, _ = CASES[case]
    judged = JudgedWindow(signals=found, decision=decide(found, before, **changes))
    trigger = judged.decision.trigger()
    assert (verdict, trigger.kind) == ("retrain", "quality")
    assert not is_called_by_measured_loss(context.ledger, trigger), "nothing is on record yet"

    context.ledger.decisions.record(trigger.id, model="sales", kind=TRIAGE, verdict=verdict, record=judged)
    assert is_called_by_measured_loss(context.ledger, trigger) is measured
    assert not is_called_by_measured_loss(context.ledger, Trigger(kind="quality", reason="a person says so"))
