"""The pages of models in a workspace: each look adds to them, and the ledger alone gives them again."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.pages import DAY, SPRING, Life, lived_once, measured
from support.triage import drifted, parity

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.ledger import Ledger
from everfit.tasks.monitoring.window_columns import WindowColumns
from everfit.tasks.monitoring.worth import WORTH, MonthGain, MonthWorth
from everfit.tasks.pages.markup import anchor, joined, tag
from everfit.tasks.pages.series import Series
from everfit.tasks.pages.writing import PageLinks, write_model, write_overview
from everfit.tasks.statistics.distributions import Bar, ColumnDistribution
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.triage.delay_signal import DelaySignal, TrainingDelays
from everfit.tasks.triage.quality_signals import SliceFigure

EVIL = "</script><script>window.evil=1</script><img src=x onerror=window.evil=1>"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(str(tmp_path / "workspace"))


def data(workspace: Workspace, model: str = "flights") -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads(workspace.read(workspace.file("pages", model, "page.json")))
    return content


def page(workspace: Workspace, *names: str) -> str:
    return workspace.read(workspace.file("pages", *names, "index.html")).decode()


def lived(ledger: Ledger, days: int = 30) -> Life:
    def live(life: Life) -> None:
        life.champion(1, SPRING)
        for day in range(1, days):
            life.look(SPRING + day * DAY, measured(0.74 + 0.0005 * day), columns={"temp": 0.1 * day})

    return lived_once(ledger, ("days", days), live)


@pytest.mark.slow
def test_looks_one_by_one_give_the_page_of_all_at_once(ledger: Ledger, workspace: Workspace) -> None:
    life = lived(ledger, 5)
    for day in range(5, 30):
        found = measured(0.74 if day != 20 else 0.6, fairness=parity(0.01 * day))
        life.look(SPRING + day * DAY, found, columns={"temp": 0.1 * day})
        write_model(ledger, workspace, "flights")
    in_turn = data(workspace)

    write_model(ledger, workspace, "flights", afresh=True)

    at_once = data(workspace)
    for key in ("series", "looks", "turns", "marks", "reigns", "cursor"):
        assert in_turn[key] == at_once[key], key
    series = Series.load(at_once["series"])
    assert len(series) == 29
    assert series.columns["value"][19] == 0.6
    assert series.columns["expected"] == [0.75] * 29
    assert [round(level or 0, 3) for level in series.drift["temp"]][-3:] == [2.7, 2.8, 2.9]


def test_a_look_reads_only_what_came_since(
    ledger: Ledger, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = lived(ledger)
    write_model(ledger, workspace, "flights")
    life.look(SPRING + 30 * DAY, measured(0.75))
    seen: list[int] = []
    since = type(ledger.decisions).since

    def counted(*given: Any, **named: Any) -> Any:
        found = since(*given, **named)
        seen.append(len(found))
        return found

    monkeypatch.setattr(type(ledger.decisions), "since", counted)
    write_model(ledger, workspace, "flights")

    assert seen == [2]  # the last one that was known, and the new one


def test_a_look_that_another_writer_lost_comes_with_the_next(ledger: Ledger, workspace: Workspace) -> None:
    life = lived(ledger)
    write_model(ledger, workspace, "flights")
    before = workspace.read(workspace.file("pages", "flights", "page.json"))
    life.look(SPRING + 30 * DAY, measured(0.7))
    write_model(ledger, workspace, "flights")
    workspace.write(workspace.file("pages", "flights", "page.json"), before)  # a slower writer had read it earlier

    life.look(SPRING + 31 * DAY, measured(0.71))
    write_model(ledger, workspace, "flights")

    assert Series.load(data(workspace)["series"]).columns["value"][-2:] == [0.7, 0.71]


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"format": 99}', b'{"format": 1, "series": {}}'])
def test_a_page_that_cannot_be_read_is_written_anew(ledger: Ledger, workspace: Workspace, content: bytes) -> None:
    lived(ledger, 4)
    workspace.write(workspace.file("pages", "flights", "page.json"), content)

    write_model(ledger, workspace, "flights")

    assert len(Series.load(data(workspace)["series"])) == 3


def test_the_page_says_what_the_ledger_says(ledger: Ledger, workspace: Workspace) -> None:
    life = lived(ledger)
    life.look(
        SPRING + 30 * DAY, measured(0.6, drift=drifted("temp", "wind")), runs={"mlflow": "run-1", "report": "d.html"}
    )
    turn = life.approval_asked(SPRING + 30 * DAY, reason="Waits for approval of challenger 2")
    links = PageLinks(looks="https://mlflow.example/looks/", turns="https://mlflow.example/turns/")
    links = links.model_copy(update={"prefect": "https://prefect.example/"})

    write_model(ledger, workspace, "flights", links=links)

    shown = page(workspace, "flights")
    assert '<span class="chip bad"' in shown
    assert "losing quality" in shown
    assert '<dd class="figure">0.600 ± 0.024</dd><dd>roc_auc; 0.750 expected, 0.725 at worst' in shown
    assert f"everfit approve flights {turn} --by NAME --reason WHY" in shown
    assert f'href="https://prefect.example/runs?flow-run-search=approve-{turn}"' in shown
    assert 'href="https://mlflow.example/looks/run-1/artifacts/d.html"' in shown
    assert "https://mlflow.example/turns/a run/artifacts/validation.html" in shown
    assert "30 looks from 2024-03-02 to 2024-03-31, one champion." in shown
    assert "Beyond their threshold on 2024-03-31, the last day: temp (1 times), wind (1 times)." in shown
    assert shown.count("<h1>") == 1
    assert not {"http:", "//cdn", "@import", "url("} & set(shown.split('"'))


def test_links_and_limits_stay_where_they_are_not_known_now(ledger: Ledger, workspace: Workspace) -> None:
    lived(ledger, 3)
    links = PageLinks(looks="https://mlflow.example/looks/", prefect="https://prefect.example/")
    write_model(ledger, workspace, "flights", policy=RetrainingPolicy(), links=links)
    known = data(workspace)

    write_model(ledger, workspace, "flights", links=PageLinks(looks="https://new.example/looks/"))
    write_model(ledger, workspace, "flights", afresh=True)

    assert known["limits"]
    assert data(workspace)["limits"] == known["limits"]
    assert data(workspace)["links"] == known["links"] | {"looks": "https://new.example/looks/"}


@pytest.mark.parametrize("what", ["no champion", "no look", "no labels"])
def test_an_empty_page_says_what_comes_next(ledger: Ledger, workspace: Workspace, what: str) -> None:
    life = Life(ledger)
    if what == "no champion":
        life.turn(SPRING, "failed", error="the source is empty")
    else:
        life.champion(1, SPRING)

    write_model(ledger, workspace, "flights")

    shown = page(workspace, "flights")
    expected = {
        "no champion": "<code>everfit train flights --reason WHY</code>",
        "no look": "<code>everfit monitor flights</code>",
        "no labels": "The timeline begins with the first look",
    }
    assert expected[what] in shown


def test_the_mark_of_a_rollback_says_what_was_replaced(ledger: Ledger, workspace: Workspace) -> None:
    life = lived(ledger, 3)
    life.release(1, SPRING + 2 * DAY, kind="rollback", actor="ann", reason="worse", previous_version=2)
    write_model(ledger, workspace, "flights")

    (mark,) = (mark for mark in data(workspace)["marks"] if mark["kind"] == "rollback")
    assert mark["title"] == "version 1 became the champion again, in place of version 2, by ann"


def test_nothing_of_data_or_people_is_markup(ledger: Ledger, workspace: Workspace) -> None:
    life = lived(ledger, 3)
    life.turn(SPRING + DAY, "ChampionKept", EVIL, trigger_reason=EVIL)
    life.release(2, SPRING + 2 * DAY, kind="rollback", actor=EVIL, reason=EVIL)
    life.incident(SPRING + DAY, alert={"what": EVIL, "why": [EVIL], "page": "javascript:alert(1)", "command": EVIL})
    life.look(SPRING + 3 * DAY, measured(0.6, drift=drifted(EVIL)), columns={EVIL: 3.0})
    entry = write_model(ledger, workspace, "flights")
    write_overview(ledger, workspace, {"flights": entry})

    for shown in (page(workspace, "flights"), page(workspace)):
        assert "<script>window" not in shown
        assert "<img" not in shown
        assert 'href="javascript' not in shown
        assert "script-src" in shown
    assert data(workspace)["marks"][-1]["text"].startswith("</script>")  # the data is as it is


def test_half_a_character_keeps_no_page_from_being_written(ledger: Ledger, workspace: Workspace) -> None:
    life = lived(ledger, 3)
    life.turn(SPRING + DAY, "ChampionKept", "bad \udcff reason")

    entry = write_model(ledger, workspace, "flights")
    write_overview(ledger, workspace, {"flights": entry})

    assert "bad \ufffd reason" in page(workspace, "flights")
    assert "bad \ufffd reason" in str(data(workspace)["turns"])
    assert "\\udcff" in page(workspace, "flights")  # the scripts' data says what the ledger has


def test_the_page_of_all_models_keeps_the_rows_of_others(ledger: Ledger, workspace: Workspace) -> None:
    lately = datetime.now(UTC) - 9 * DAY
    for name, value in (("bikes", 0.75), ("cabs", 0.6)):
        life = Life(ledger, name)
        life.champion(1, lately)
        life.look(lately + DAY, measured(value))
        write_overview(ledger, workspace, {name: write_model(ledger, workspace, name)})

    shown = page(workspace)
    assert shown.index('href="cabs/index.html"') < shown.index('href="bikes/index.html"')
    assert "2 models: 1 losing quality, 1 fit." in shown
    write_overview(ledger, workspace, {"gone": {}})  # of a model that was renamed meanwhile
    assert "gone" not in page(workspace)


@pytest.mark.parametrize(("second", "shown"), [(140.0, "2 by 3 min of processor time"), (None, "2 in 2 s")])
def test_the_page_of_all_models_says_what_turns_took(
    ledger: Ledger, workspace: Workspace, second: float | None, shown: str
) -> None:
    now, life = datetime.now(UTC), Life(ledger)
    for hours, used in ((2, 40.0), (1, second)):
        record = {} if used is None else {"processor_seconds": used}
        life.turn(now - timedelta(hours=hours), "ChampionKept", record=record)
    life.turn(now - 40 * DAY, "ChampionKept")

    write_overview(ledger, workspace, {"flights": write_model(ledger, workspace, "flights")})

    assert f"{shown}<" in page(workspace)


def test_the_page_of_all_models_says_whose_looks_have_stopped(ledger: Ledger, workspace: Workspace) -> None:
    now = datetime.now(UTC)
    for name, age in (("bikes", 1), ("cabs", 9)):
        life = Life(ledger, name)
        life.champion(1, now - 30 * DAY)
        for day in range(20):
            life.look(now - (age + 20 - day) * DAY, measured(0.75))
        entry = write_model(ledger, workspace, name)
        # As the page of a model was written at its last look, when nothing was late yet.
        write_overview(ledger, workspace, {name: entry | {"state": "fit", "reason": ""}})

    shown = page(workspace)
    assert "2 models: 1 not looked at lately, 1 fit." in shown
    assert f"the last look is of {now - 10 * DAY:%Y-%m-%d %H:%M} UTC, and the next ones have not come" in shown


def test_fairness_and_slices_are_drawn_over_time_with_their_bounds(ledger: Ledger, workspace: Workspace) -> None:
    slices = (
        SliceFigure(name="sex=f", rows=900, value=0.74, standard_error=0.01, expected=0.75, bound=0.725),
        SliceFigure(name="sex=m", rows=900, value=0.6, standard_error=0.01, expected=0.76, bound=0.735, lost=True),
    )
    life = lived(ledger, 3)
    for day, low in ((3, 0.05), (4, 0.12)):
        found = measured(0.74, fairness=parity(low))
        quality = found.quality.model_copy(update={"slices": slices, "lost_slices": ("sex=m",)})
        life.look(SPRING + day * DAY, found.model_copy(update={"quality": quality}))

    write_model(ledger, workspace, "flights")

    limits = Series.load(data(workspace)["series"]).limits
    assert limits.figures["fairness.parity_of_sex"]["value"] == [0.1, 0.17]
    assert limits.figures["fairness.parity_of_sex"]["bound"] == [0.1, 0.1]
    assert limits.figures["fairness.parity_of_sex"]["beyond"] == [0, 1]
    assert limits.figures["slice.sex=m"]["expected"] == [0.76, 0.76]
    shown = page(workspace, "flights")
    words = "Surely beyond the bound at the end: demographic parity difference of sex; roc_auc where sex is m."
    assert words in shown
    assert "0.170 (0.120 to 0.220) on 2024-03-05; 0.1 at most: surely exceeded" in shown
    assert "0.740 (0.720 to 0.760) on 2024-03-05; 0.750 on the hold-out; 0.725 at worst" in shown


def test_a_column_is_shown_then_and_now(ledger: Ledger, workspace: Workspace) -> None:
    lived(ledger, 4)
    bars = (Bar(label=EVIL, then=0.9, now=0.25), Bar(label="all others", then=0.1, now=0.75))
    columns = WindowColumns(
        until=SPRING + 3 * DAY,
        version=1,
        trained_until=SPRING,
        columns=(ColumnDistribution(name="temp", bars=bars), ColumnDistribution(name="not drawn", bars=bars)),
    )
    write_model(ledger, workspace, "flights")
    assert "A column then and now" not in page(workspace, "flights")
    workspace.write(workspace.file("flights", "columns.json"), columns.canonical_json().encode())

    write_model(ledger, workspace, "flights")

    shown = page(workspace, "flights")
    assert "then: the training data of version 1, to 2024-03-01" in shown
    assert "now: the window to 2024-03-04 00:00 UTC" in shown
    assert "90 % then, 25 % now" in shown
    assert '<rect x="0" y="9" width="27.8" height="8" class="now">' in shown
    assert "not drawn" not in shown
    assert "<script>window" not in shown
    workspace.write(workspace.file("flights", "columns.json"), b'{"of": "another everfit"}')
    write_model(ledger, workspace, "flights")
    assert "A column then and now" not in page(workspace, "flights")


def test_how_long_labels_take_is_shown_now_and_at_training(ledger: Ledger, workspace: Workspace) -> None:
    life = lived(ledger, 3)
    write_model(ledger, workspace, "flights")
    assert "names the column of their time" in page(workspace, "flights")
    days = {"half": 0.5, "most": 3.0, "days": 6.0, "lower": 5.0, "upper": 7.0, "late": 0.0, "coverage": 0.97}
    before = TrainingDelays(half=0.25, days=4.0, coverage=0.99)
    delays = DelaySignal(status="measured", maturity=timedelta(days=7), followed=21.0, training=before, **days)
    life.look(SPRING + 3 * DAY, measured(0.74, delays=delays))

    write_model(ledger, workspace, "flights")

    rows = re.findall(
        r"<tr><th scope=.row.[^>]*>([^<]*)</th><td[^>]*>([^<]*)</td><td[^>]*>([^<]*)</td></tr>",
        page(workspace, "flights"),
    )
    assert rows[:4] == [
        ("half of the labels are known after", "12 hours", "6 hours"),
        ("90 % of the labels are known after", "3 days", "-"),
        ("99 % of the labels are known after", "6 days", "4 days"),
        ("rows that get a label", "97.0 %", "99.0 %"),
    ]
    assert Series.load(data(workspace)["series"]).limits.newest("labels.delay")["bound"] == 7
    assert "after 6 days (5 to 7); the maturity is 7d" in page(workspace, "flights")
    short = delays.model_copy(update={"days": 0.5, "lower": 0.25, "upper": 0.75})
    assert "after 12 hours (6 to 18), and the maturity is 7d" in short.details


def test_markup_escapes_all_but_markup() -> None:
    assert tag("p", "a<b", tag("b", "c&d"), ["e", 1], None, title='"') == '<p title="&quot;">a&lt;b<b>c&amp;d</b>e1</p>'
    assert joined("\x1b[2J") == "\ufffd[2J"
    assert anchor("a", "javascript:x") == "a (javascript:x)"
    assert anchor("a", "b/index.html") == '<a href="b/index.html" rel="noreferrer">a</a>'


def test_a_page_shows_what_the_loop_has_been_worth(ledger: Ledger, workspace: Workspace) -> None:
    lived(ledger, 5)
    write_model(ledger, workspace, "flights")
    assert "Worth of the loop" not in page(workspace, "flights")

    gain = MonthGain(rows=900, gain=0.04, standard_error=0.01)
    month = MonthWorth(month="2024-03", metric="roc_auc", rows=900, alone=gain, turns=2)
    ledger.decisions.record("1/worth/2024-03", model="flights", kind=WORTH, verdict=month.verdict, record=month)
    write_model(ledger, workspace, "flights")

    shown = page(workspace, "flights")
    assert "Worth of the loop" in shown
    assert "0.04 roc_auc better than the first model left alone" in shown
