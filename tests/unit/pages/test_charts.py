"""What is drawn on a model's page: figures over time, columns then and now, delays of labels."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from support.pages import DAY, SPRING, lived_days, measured, page_data, page_text
from support.triage import parity

from everfit.tasks.ledger import Ledger
from everfit.tasks.monitoring.window_columns import WindowColumns
from everfit.tasks.monitoring.worth import WORTH, MonthGain, MonthWorth
from everfit.tasks.pages.series import Series
from everfit.tasks.pages.writing import write_model
from everfit.tasks.statistics.distributions import Bar, ColumnDistribution
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.triage.delay_signal import DelaySignal, TrainingDelays
from everfit.tasks.triage.quality_signals import SliceFigure

EVIL = "</script><script>window.evil=1</script><img src=x onerror=window.evil=1>"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(str(tmp_path / "workspace"))


def test_fairness_and_slices_are_drawn_over_time_with_their_bounds(ledger: Ledger, workspace: Workspace) -> None:
    slices = (
        SliceFigure(name="sex=f", rows=900, value=0.74, standard_error=0.01, expected=0.75, bound=0.725),
        SliceFigure(name="sex=m", rows=900, value=0.6, standard_error=0.01, expected=0.76, bound=0.735, lost=True),
    )
    life = lived_days(ledger, 3)
    for day, low in ((3, 0.05), (4, 0.12)):
        found = measured(0.74, fairness=parity(low))
        quality = found.quality.model_copy(update={"slices": slices, "lost_slices": ("sex=m",)})
        life.look(SPRING + day * DAY, found.model_copy(update={"quality": quality}))

    write_model(ledger, workspace, "flights")

    limits = Series.load(page_data(workspace)["series"]).limits
    assert limits.figures["fairness.parity_of_sex"]["value"] == [0.1, 0.17]
    assert limits.figures["fairness.parity_of_sex"]["bound"] == [0.1, 0.1]
    assert limits.figures["fairness.parity_of_sex"]["beyond"] == [0, 1]
    assert limits.figures["slice.sex=m"]["expected"] == [0.76, 0.76]
    shown = page_text(workspace, "flights")
    words = "Surely beyond the bound at the end: demographic parity difference of sex; roc_auc where sex is m."
    assert words in shown
    assert "0.170 (0.120 to 0.220) on 2024-03-05; 0.1 at most: surely exceeded" in shown
    assert "0.740 (0.720 to 0.760) on 2024-03-05; 0.750 on the hold-out; 0.725 at worst" in shown


def test_a_column_is_shown_then_and_now(ledger: Ledger, workspace: Workspace) -> None:
    lived_days(ledger, 4)
    bars = (Bar(label=EVIL, then=0.9, now=0.25), Bar(label="all others", then=0.1, now=0.75))
    columns = WindowColumns(
        until=SPRING + 3 * DAY,
        version=1,
        trained_until=SPRING,
        columns=(ColumnDistribution(name="temp", bars=bars), ColumnDistribution(name="not drawn", bars=bars)),
    )
    write_model(ledger, workspace, "flights")
    assert "A column then and now" not in page_text(workspace, "flights")
    workspace.write(workspace.file("flights", "columns.json"), columns.canonical_json().encode())

    write_model(ledger, workspace, "flights")

    shown = page_text(workspace, "flights")
    assert "then: the training data of version 1, to 2024-03-01" in shown
    assert "now: the window to 2024-03-04 00:00 UTC" in shown
    assert "90 % then, 25 % now" in shown
    assert '<rect x="0" y="9" width="27.8" height="8" class="now">' in shown
    assert "not drawn" not in shown
    assert "<script>window" not in shown
    workspace.write(workspace.file("flights", "columns.json"), b'{"of": "another everfit"}')
    write_model(ledger, workspace, "flights")
    assert "A column then and now" not in page_text(workspace, "flights")


def test_how_long_labels_take_is_shown_now_and_at_training(ledger: Ledger, workspace: Workspace) -> None:
    life = lived_days(ledger, 3)
    write_model(ledger, workspace, "flights")
    assert "names the column of their time" in page_text(workspace, "flights")
    days = {"half": 0.5, "most": 3.0, "days": 6.0, "lower": 5.0, "upper": 7.0, "late": 0.0, "coverage": 0.97}
    before = TrainingDelays(half=0.25, days=4.0, coverage=0.99)
    delays = DelaySignal(status="measured", maturity=timedelta(days=7), followed=21.0, training=before, **days)
    life.look(SPRING + 3 * DAY, measured(0.74, delays=delays))

    write_model(ledger, workspace, "flights")

    rows = re.findall(
        r"<tr><th scope=.row.[^>]*>([^<]*)</th><td[^>]*>([^<]*)</td><td[^>]*>([^<]*)</td></tr>",
        page_text(workspace, "flights"),
    )
    assert rows[:4] == [
        ("half of the labels are known after", "12 hours", "6 hours"),
        ("90 % of the labels are known after", "3 days", "-"),
        ("99 % of the labels are known after", "6 days", "4 days"),
        ("rows that get a label", "97.0 %", "99.0 %"),
    ]
    assert Series.load(page_data(workspace)["series"]).limits.newest("labels.delay")["bound"] == 7
    assert "after 6 days (5 to 7); the maturity is 7d" in page_text(workspace, "flights")
    short = delays.model_copy(update={"days": 0.5, "lower": 0.25, "upper": 0.75})
    assert "after 12 hours (6 to 18), and the maturity is 7d" in short.details


def test_a_page_shows_what_the_loop_has_been_worth(ledger: Ledger, workspace: Workspace) -> None:
    lived_days(ledger, 5)
    write_model(ledger, workspace, "flights")
    assert "Worth of the loop" not in page_text(workspace, "flights")

    gain = MonthGain(rows=900, gain=0.04, standard_error=0.01)
    month = MonthWorth(month="2024-03", metric="roc_auc", rows=900, alone=gain, turns=2)
    ledger.decisions.record("1/worth/2024-03", model="flights", kind=WORTH, verdict=month.verdict, record=month)
    write_model(ledger, workspace, "flights")

    shown = page_text(workspace, "flights")
    assert "Worth of the loop" in shown
    assert "0.04 roc_auc better than the first model left alone" in shown
