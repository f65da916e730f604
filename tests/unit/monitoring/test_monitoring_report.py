"""A window in words: what a person reads in Prefect's UI."""

from datetime import UTC, datetime, timedelta
from typing import Any

from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.report.monitoring_report import window_page
from everfit.tasks.triage import triage
from everfit.tasks.triage.case import TriagePolicy
from everfit.tasks.triage.history import History
from everfit.tasks.triage.quality_signals import Baseline, QualitySignal
from everfit.tasks.triage.signals import ChampionReference, DataSignal, DriftSignal, LabelsSignal, Problem, Signals

UNTIL = datetime(2024, 3, 8, tzinfo=UTC)
WINDOW = Window(since=UNTIL - timedelta(days=7), until=UNTIL)


def page(*, drawn: bool = True, **changes: Any) -> str:
    """The artifact of a window in which all is well, but for what is changed."""
    hold_out = Baseline(value=0.8, standard_error=0.01, rows=2_000, chance=0.5)
    quality = {"metric": "roc_auc", "window": WINDOW, "rows": 1_900, "value": 0.79, "standard_error": 0.02}
    signals = Signals.model_validate(
        {
            "model": "flights",
            "window": WINDOW,
            "reference": ChampionReference(version=3, id="v3-x", released=UNTIL, trained_until=UNTIL),
            "data": DataSignal(status="measured", rows=2_000),
            "drift": DriftSignal(status="measured", drifted=False, reason="0 of 9 features have drifted"),
            "quality": QualitySignal(status="measured", baseline=hold_out, chance=0.5, **quality),
            **changes,
        }
    )
    decision = triage(signals, History(), TriagePolicy())
    return window_page(signals, decision, "the run", has_report=drawn)


def test_each_area_has_its_status_its_figures_and_how_sure_they_are() -> None:
    shown = page()

    assert "# flights: all is well" in shown
    assert "| drift | measured | 0 of 9 features have drifted |" in shown
    assert "roc_auc 0.7900 ± 0.039; 0.8000 ± 0.02 on the hold-out, 0.5 by chance" in shown
    assert "`drift.html` among the artifacts of the run" in shown


def test_a_report_that_was_not_drawn_is_not_promised() -> None:
    assert "drift.html" not in page(drawn=False)


def test_a_name_from_the_data_does_not_break_the_table() -> None:
    problem = Problem(kind="unseen_category", column="a|b", summary="a|b: 'x\ny' is new")
    [row] = [
        line
        for line in page(data=DataSignal(status="measured", rows=9, bad=(problem,))).splitlines()
        if "is new" in line
    ][1:]
    assert row.count(" | ") == 2


def test_the_sum_behind_the_next_try_is_shown() -> None:
    shown = page(labels=LabelsSignal(status="measured", new_rows=300, unseen_rows=300))
    assert (
        "Tries of a turn: 300 rows with mature labels since the champion was trained; a turn is tried from 400."
        in shown
    )
    assert "Tries of a turn" not in page()
