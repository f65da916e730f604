"""The pages of models in a workspace: each look adds to them, and the ledger alone gives them again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.pages import DAY, SPRING, Life, lived_days, measured, page_data, page_text
from support.triage import drifted, parity

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.ledger import Ledger
from everfit.tasks.pages.markup import anchor, joined, tag
from everfit.tasks.pages.series import Series
from everfit.tasks.pages.writing import PageLinks, write_model, write_overview
from everfit.tasks.storage.workspace import Workspace

EVIL = "</script><script>window.evil=1</script><img src=x onerror=window.evil=1>"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(str(tmp_path / "workspace"))


@pytest.mark.slow
def test_looks_one_by_one_give_the_page_of_all_at_once(ledger: Ledger, workspace: Workspace) -> None:
    life = lived_days(ledger, 5)
    for day in range(5, 30):
        found = measured(0.74 if day != 20 else 0.6, fairness=parity(0.01 * day))
        life.look(SPRING + day * DAY, found, columns={"temp": 0.1 * day})
        write_model(ledger, workspace, "flights")
    in_turn = page_data(workspace)

    write_model(ledger, workspace, "flights", afresh=True)

    at_once = page_data(workspace)
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
    life = lived_days(ledger)
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
    life = lived_days(ledger)
    write_model(ledger, workspace, "flights")
    before = workspace.read(workspace.file("pages", "flights", "page.json"))
    life.look(SPRING + 30 * DAY, measured(0.7))
    write_model(ledger, workspace, "flights")
    workspace.write(workspace.file("pages", "flights", "page.json"), before)  # a slower writer had read it earlier

    life.look(SPRING + 31 * DAY, measured(0.71))
    write_model(ledger, workspace, "flights")

    assert Series.load(page_data(workspace)["series"]).columns["value"][-2:] == [0.7, 0.71]


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"format": 99}', b'{"format": 1, "series": {}}'])
def test_a_page_that_cannot_be_read_is_written_anew(ledger: Ledger, workspace: Workspace, content: bytes) -> None:
    lived_days(ledger, 4)
    workspace.write(workspace.file("pages", "flights", "page.json"), content)

    write_model(ledger, workspace, "flights")

    assert len(Series.load(page_data(workspace)["series"])) == 3


def test_the_page_says_what_the_ledger_says(ledger: Ledger, workspace: Workspace) -> None:
    life = lived_days(ledger)
    life.look(
        SPRING + 30 * DAY, measured(0.6, drift=drifted("temp", "wind")), runs={"mlflow": "run-1", "report": "d.html"}
    )
    turn = life.approval_asked(SPRING + 30 * DAY, reason="Waits for approval of challenger 2")
    links = PageLinks(looks="https://mlflow.example/looks/", turns="https://mlflow.example/turns/")
    links = links.model_copy(update={"prefect": "https://prefect.example/"})

    write_model(ledger, workspace, "flights", links=links)

    shown = page_text(workspace, "flights")
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
    lived_days(ledger, 3)
    links = PageLinks(looks="https://mlflow.example/looks/", prefect="https://prefect.example/")
    write_model(ledger, workspace, "flights", policy=RetrainingPolicy(), links=links)
    known = page_data(workspace)

    write_model(ledger, workspace, "flights", links=PageLinks(looks="https://new.example/looks/"))
    write_model(ledger, workspace, "flights", afresh=True)

    assert known["limits"]
    assert page_data(workspace)["limits"] == known["limits"]
    assert page_data(workspace)["links"] == known["links"] | {"looks": "https://new.example/looks/"}


@pytest.mark.parametrize("what", ["no champion", "no look", "no labels"])
def test_an_empty_page_says_what_comes_next(ledger: Ledger, workspace: Workspace, what: str) -> None:
    life = Life(ledger)
    if what == "no champion":
        life.turn(SPRING, "failed", error="the source is empty")
    else:
        life.champion(1, SPRING)

    write_model(ledger, workspace, "flights")

    shown = page_text(workspace, "flights")
    expected = {
        "no champion": "<code>everfit train flights --reason WHY</code>",
        "no look": "<code>everfit monitor flights</code>",
        "no labels": "The timeline begins with the first look",
    }
    assert expected[what] in shown


def test_the_mark_of_a_rollback_says_what_was_replaced(ledger: Ledger, workspace: Workspace) -> None:
    life = lived_days(ledger, 3)
    life.release(1, SPRING + 2 * DAY, kind="rollback", actor="ann", reason="worse", previous_version=2)
    write_model(ledger, workspace, "flights")

    (mark,) = (mark for mark in page_data(workspace)["marks"] if mark["kind"] == "rollback")
    assert mark["title"] == "version 1 became the champion again, in place of version 2, by ann"


def test_nothing_of_data_or_people_is_markup(ledger: Ledger, workspace: Workspace) -> None:
    life = lived_days(ledger, 3)
    life.turn(SPRING + DAY, "ChampionKept", EVIL, trigger_reason=EVIL)
    life.release(2, SPRING + 2 * DAY, kind="rollback", actor=EVIL, reason=EVIL)
    life.incident(SPRING + DAY, alert={"what": EVIL, "why": [EVIL], "page": "javascript:alert(1)", "command": EVIL})
    life.look(SPRING + 3 * DAY, measured(0.6, drift=drifted(EVIL)), columns={EVIL: 3.0})
    entry = write_model(ledger, workspace, "flights")
    write_overview(ledger, workspace, {"flights": entry})

    for shown in (page_text(workspace, "flights"), page_text(workspace)):
        assert "<script>window" not in shown
        assert "<img" not in shown
        assert 'href="javascript' not in shown
        assert "script-src" in shown
    assert page_data(workspace)["marks"][-1]["text"].startswith("</script>")  # the data is as it is


def test_half_a_character_keeps_no_page_from_being_written(ledger: Ledger, workspace: Workspace) -> None:
    life = lived_days(ledger, 3)
    life.turn(SPRING + DAY, "ChampionKept", "bad \udcff reason")

    entry = write_model(ledger, workspace, "flights")
    write_overview(ledger, workspace, {"flights": entry})

    assert "bad \ufffd reason" in page_text(workspace, "flights")
    assert "bad \ufffd reason" in str(page_data(workspace)["turns"])
    assert "\\udcff" in page_text(workspace, "flights")  # the scripts' data says what the ledger has


def test_the_page_of_all_models_keeps_the_rows_of_others(ledger: Ledger, workspace: Workspace) -> None:
    lately = datetime.now(UTC) - 9 * DAY
    for name, value in (("bikes", 0.75), ("cabs", 0.6)):
        life = Life(ledger, name)
        life.champion(1, lately)
        life.look(lately + DAY, measured(value))
        write_overview(ledger, workspace, {name: write_model(ledger, workspace, name)})

    shown = page_text(workspace)
    assert shown.index('href="cabs/index.html"') < shown.index('href="bikes/index.html"')
    assert "2 models: 1 losing quality, 1 fit." in shown
    write_overview(ledger, workspace, {"gone": {}})  # of a model that was renamed meanwhile
    assert "gone" not in page_text(workspace)


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

    assert f"{shown}<" in page_text(workspace)


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

    shown = page_text(workspace)
    assert "2 models: 1 not looked at lately, 1 fit." in shown
    assert f"the last look is of {now - 10 * DAY:%Y-%m-%d %H:%M} UTC, and the next ones have not come" in shown


def test_markup_escapes_all_but_markup() -> None:
    assert tag("p", "a<b", tag("b", "c&d"), ["e", 1], None, title='"') == '<p title="&quot;">a&lt;b<b>c&amp;d</b>e1</p>'
    assert joined("\x1b[2J") == "\ufffd[2J"
    assert anchor("a", "javascript:x") == "a (javascript:x)"
    assert anchor("a", "b/index.html") == '<a href="b/index.html" rel="noreferrer">a</a>'
