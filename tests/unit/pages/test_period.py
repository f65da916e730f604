"""A report of a period: it says what the ledger says, and any change of it is found without the ledger."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import text
from support.pages import DAY, SPRING, Life, lived_once, measured
from support.triage import drifted, parity

from everfit.blocks.errors import EverfitError
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.chain_check import newest_link
from everfit.tasks.ledger.chain_proof import ChainProof, _packed, _unpacked
from everfit.tasks.monitoring.worth import WORTH, MonthGain, MonthWorth
from everfit.tasks.pages.facts import read_model_facts
from everfit.tasks.pages.period import PeriodContent, period_of, read_period
from everfit.tasks.pages.period_check import check_report
from everfit.tasks.pages.period_page import period_page, report_content
from everfit.tasks.pages.period_text import figures_of, release_rows, risk_rows
from everfit.tasks.pages.status import status_of

EVIL = "</script><script>window.evil=1</script>"


def report(ledger: Ledger, since: int = 0, until: int = 60) -> PeriodContent:
    start, end = SPRING + since * DAY, SPRING + until * DAY
    return read_period(ledger, "flights", start, end, now=end, version="1.2.3")


def lived(ledger: Ledger) -> Life:
    def live(life: Life) -> None:
        life.champion(1, SPRING)
        for day in range(1, 40):
            life.look(SPRING + day * DAY, measured(0.74 if day < 30 else 0.55), columns={"temp": 0.1 * day})
        life.turn(SPRING + 20 * DAY, "ChampionKept", f"no better {EVIL}")
        life.champion(2, SPRING + 31 * DAY)
        life.release(1, SPRING + 35 * DAY, kind="rollback", reason="it was worse", actor="ann", previous_version=2)
        life.incident(SPRING + 33 * DAY)

    return lived_once(ledger, "a period", live)


def checked(page: str, noted: str = "") -> tuple[str, ...]:
    return check_report(page, signers={}, noted=noted, version="1.2.3").problems


def test_a_report_says_what_the_ledger_says(ledger: Ledger) -> None:
    lived(ledger)

    content = report(ledger)
    period = period_of(content)
    figures = {name: (figure, words) for name, figure, words in figures_of(period)}

    assert figures["Looks"][0] == "39"
    assert figures["Turns"] == ("3", "2 promoted, 1 champion kept; 3 s")
    assert figures["Releases"] == ("3", "1 rollback among them; 0 were undone")
    assert figures["Incidents"] == ("1", "1 still open")
    assert [row[1:3] for row in release_rows(period)] == [
        ["released version 1", "gate"],
        ["released version 2", "gate"],
        ["rolled back to version 1", "ann"],
    ]
    page = period_page(content)
    assert "rolled back: it was worse" in page
    assert "<script>window.evil" not in page
    assert period_page(report_content(page)) == page


def test_a_report_says_what_the_loop_was_worth(ledger: Ledger) -> None:
    lived(ledger)
    assert "what the loop has been worth is not known" in period_page(report(ledger))
    for month, gain in (("2024-02", 0.5), ("2024-03", 0.04)):
        alone = MonthGain(rows=900, gain=gain, standard_error=0.01)
        worth = MonthWorth(month=month, metric="roc_auc", rows=900, alone=alone, turns=2)
        ledger.decisions.record(f"1/worth/{month}", model="flights", kind=WORTH, verdict=worth.verdict, record=worth)

    page = period_page(report(ledger))

    assert "2024-03: 0.04 roc_auc better than the first model left alone" in page
    assert "decisions/1/worth/2024-03" in page
    assert "2024-02" not in page
    assert checked(page) == ()


def lived_at_low_risk(ledger: Ledger) -> Life:
    life = Life(ledger)
    made = {"decision": {"risk": "low", "checks": []}}
    turn = life.turn(SPRING, record={"version": {"version": 1}})
    life.release(1, SPRING, turn)
    ledger.decisions.record("gate-1", model="flights", kind="gate", verdict="promote", record=made, turn_id=turn)
    return life


def test_risk_goes_up_with_what_happened(ledger: Ledger) -> None:
    life = lived_at_low_risk(ledger)
    content = report(ledger)
    assert risk_rows(period_of(content), content)[0][2:] == ["low", "no trouble", "low"]

    life.incident(SPRING + DAY, subject="approval turn-2")  # a challenger that waits is no trouble of the champion
    life.incident(SPRING + 2 * DAY)
    life.release(2, SPRING + 4 * DAY, life.turn(SPRING + 4 * DAY))
    life.release(1, SPRING + 5 * DAY, kind="rollback", reason="worse")
    content = report(ledger)

    assert [row[2:] for row in risk_rows(period_of(content), content)] == [
        ["low", "an incident", "medium"],
        ["not recorded", "rolled back: worse", "not known"],
        ["low", "no trouble", "low"],
    ]


def test_risk_goes_up_by_drift_and_exceeded_limits(ledger: Ledger) -> None:
    life = lived_at_low_risk(ledger)
    for day, found in ((2, drifted("temp")), (3, drifted("temp")), (4, None)):
        signals = measured(0.74, fairness=parity(0.12 if day == 4 else 0.05))
        life.look(SPRING + day * DAY, signals if found is None else signals.model_copy(update={"drift": found}))
    content = report(ledger)
    happened = "a limit of fairness or calibration was exceeded in 1 of 3 looks; drift in 2 of 3 looks"

    assert risk_rows(period_of(content), content)[0][2:] == ["low", happened, "high"]
    found = status_of(read_model_facts(ledger, "flights", SPRING + 9 * DAY))
    assert found.risk is not None
    assert (found.risk.now, found.risk.summary) == ("high", f"low at its release; since then {happened}")


def test_a_period_shows_the_champion_that_it_began_with(ledger: Ledger) -> None:
    lived(ledger)

    period = period_of(report(ledger, since=33))

    assert [reign.version for reign in period.reigns] == [2, 1]
    assert not period.turns
    assert period.looks[0].until == SPRING + 33 * DAY


def test_an_untouched_report_fits_and_says_that_nothing_vouches_for_it(ledger: Ledger) -> None:
    lived(ledger)
    page = period_page(report(ledger))

    alone = check_report(page, signers={}, version="1.2.3")
    noted = check_report(page, signers={}, noted=newest_link(ledger.store, "flights"), version="1.2.3")

    assert not alone.problems
    assert "nothing outside" in alone.notes[0]
    assert not noted.problems
    assert not noted.notes
    assert noted.rows > 40


def changed_row(content: PeriodContent) -> PeriodContent:
    rows = _unpacked(content.proof.rows)
    rows["releases"][-1]["actor"] = "bob"
    return _with(content, rows=_packed(rows))


def changed_row_and_link(content: PeriodContent) -> PeriodContent:
    """Change a row and write the whole chain again, as somebody who knows how would."""
    from everfit.tasks.ledger.chain import row_digest, row_key
    from everfit.tasks.ledger.chain_proof import _links

    rows, links = _unpacked(content.proof.rows), _unpacked(content.proof.links)
    rows["releases"][-1]["actor"] = "bob"
    packed = _packed(rows)
    row = ChainProof(model="", head="", links="", rows=packed).unpack()["releases"][-1]
    for link in links:
        if link[:2] == ["releases", row_key("releases", row)]:
            link[2] = row_digest("releases", row)
    last = list(_links(_packed(links)))[-1]
    return _with(content, rows=packed, links=_packed(links), head=f"{last['seq']}:{last['hash']}")


def lost_release(content: PeriodContent) -> PeriodContent:
    rows = _unpacked(content.proof.rows)
    rows["releases"].pop(1)
    return _with(content, rows=_packed(rows))


def lost_link(content: PeriodContent) -> PeriodContent:
    return _with(content, links=_packed(_unpacked(content.proof.links)[:-1]))


def changed_look(content: PeriodContent) -> PeriodContent:
    looks = (content.looks[0].model_copy(update={"value": 0.99}), *content.looks[1:])
    return content.model_copy(update={"looks": looks})


def _with(content: PeriodContent, **parts: str) -> PeriodContent:
    return content.model_copy(update={"proof": content.proof.model_copy(update=parts)})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (changed_row, "is not as link"),
        (lost_release, "release '2', which link"),
        (lost_link, "the links don't lead to"),
        (changed_look, "is not as its row says"),
        (changed_row_and_link, "the noted link"),
    ],
)
def test_a_changed_report_is_found(
    ledger: Ledger, change: Callable[[PeriodContent], PeriodContent], problem: str
) -> None:
    lived(ledger)
    noted = newest_link(ledger.store, "flights")

    problems = checked(period_page(change(report(ledger))), noted)

    assert any(problem in found for found in problems), problems


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("update releases set actor = 'bob' where seq = 2", "release '2' was changed after link"),
        ("delete from releases where seq = 2", "release '2', which link 44 recorded, is gone"),
        ("delete from turns where seq = 2", "turn 'flights-20240321T000000-00000002', which link 42 recorded, is gone"),
        ("update decisions set verdict = 'healthy' where verdict <> 'healthy'", "and 10 more"),
        ("delete from chain where seq = 3", "link 3 of the chain is missing"),
    ],
)
def test_a_ledger_that_was_changed_is_told_by_its_report(ledger: Ledger, change: str, problem: str) -> None:
    lived(ledger)
    for day in range(40, 60):
        Life(ledger).look(SPRING + day * DAY, measured(0.55))
    assert not report(ledger).unfit
    with ledger.store.write("flights") as connection:
        connection.execute(text(change))

    content = report(ledger)
    page = period_page(content)

    assert any(problem in found for found in content.unfit), content.unfit
    assert "The ledger was changed beside everfit" in page
    assert f"when it was written: {content.unfit[0]}" in checked(page)


def test_a_changed_text_is_found(ledger: Ledger) -> None:
    lived(ledger)
    page = period_page(report(ledger))

    assert checked(page.replace("ann", "bob", 1)) == (
        "the text of the report doesn't follow from its rows: the file was changed",
    )


def test_a_text_of_another_version_is_not_verified(ledger: Ledger) -> None:
    lived(ledger)
    page = period_page(report(ledger)).replace("ann", "bob", 1)

    assert "everfit 1.2.3 wrote it and this is 2" in check_report(page, signers={}, version="2").problems[0]


@pytest.mark.parametrize("page", ["", "<html></html>", '<script type="application/json" id="data">{}</script>'])
def test_a_file_that_is_no_report_is_one_error(page: str) -> None:
    with pytest.raises(EverfitError, match="no report that everfit has written"):
        report_content(page)


def test_an_empty_period_is_one_error(ledger: Ledger) -> None:
    lived(ledger)

    with pytest.raises(EverfitError, match="is empty; give an earlier --since"):
        report(ledger, since=60)


@pytest.mark.slow
def test_a_year_of_hourly_looks_is_a_file_that_can_be_sent(ledger: Ledger) -> None:
    life = lived(ledger)
    life.hourly(SPRING + 41 * DAY, 2_000)
    content = report(ledger, until=41 + 2_000 // 24 + 1)

    page = period_page(content)

    assert len(content.looks) > 2_000
    assert len(orjson.dumps(_plain(content.proof))) < 1_000_000
    assert "healthy looks are left out for size" in page


def _plain(proof: ChainProof) -> dict[str, Any]:
    return proof.model_dump(mode="json")


def test_links_before_the_noted_one_are_all_covered(ledger: Ledger) -> None:
    life = lived(ledger)
    noted = newest_link(ledger.store, "flights")
    life.look(SPRING + 50 * DAY + timedelta(hours=1), measured(0.7))

    assert checked(period_page(report(ledger)), noted) == ()
