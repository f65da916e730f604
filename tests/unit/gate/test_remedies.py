"""The smallest remedy that is enough, and the error that a remedy and the search after it share."""

import pytest
from support.gating import compared, measured

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate import decide
from everfit.tasks.gate.remedies import KEEP, REMEDY_SHARE, Lead, RemediesTried, Rung, smallest_enough


def rung(name: str, **gains: float) -> Rung:
    """A rung, and how many standard errors each higher one is ahead of it."""
    leads = tuple(Lead(higher=higher, gain=0.01 * gain, error=0.01) for higher, gain in gains.items())
    return Rung(name=name, value=0.5, leads=leads)


def test_the_smallest_rung_that_no_larger_one_is_surely_ahead_of_is_enough() -> None:
    refit = rung("refit")
    assert smallest_enough([rung(KEEP, intercept=0.5, refit=0.9), rung("intercept", refit=0.8), refit]) == KEEP
    assert smallest_enough([rung(KEEP, intercept=3, refit=3), rung("intercept", refit=0.8), refit]) == "intercept"
    assert smallest_enough([rung(KEEP, intercept=3, refit=6), rung("intercept", refit=3), refit]) == "refit"
    # What is behind no change, such as an earlier champion, is never taken.
    assert smallest_enough([rung(KEEP, former=-1, refit=3), rung("former", refit=0.8), refit]) == "refit"
    assert smallest_enough([rung(KEEP, former=3, refit=-1), rung("former", refit=3), refit]) == KEEP
    # A larger remedy may do harm where a smaller one helps: what it does no better it does not forbid.
    assert smallest_enough([rung(KEEP, intercept=3, refit=-2), rung("intercept", refit=-5), refit]) == "intercept"


def test_few_groups_make_a_lead_less_sure() -> None:
    sure = Lead(higher="refit", gain=1.7, error=1.0)
    assert sure.is_sure
    assert not sure.model_copy(update={"degrees_of_freedom": 3.0}).is_sure


def tried(*, is_judged: bool) -> RemediesTried:
    why = "" if is_judged else "it did not pass the gate"
    rungs = (rung(KEEP), rung("intercept"))
    return RemediesTried(
        champion=3, metric="roc_auc", rungs=rungs, chosen="intercept", why_not=why, is_judged=is_judged
    )


def test_a_remedy_and_the_search_after_it_share_the_error_of_one_try() -> None:
    assert tried(is_judged=True).error_share + tried(is_judged=False).error_share == 1
    whole = decide(measured(), GatePolicy())
    part = decide(measured(remedies=tried(is_judged=True)), GatePolicy())
    allowed = [{one.name: one for one in made.figures}["allowed error"] for made in (whole, part)]
    assert float(allowed[1].value) == pytest.approx(REMEDY_SHARE * float(allowed[0].value))
    # A gain that is just enough for a search is not enough for a remedy.
    gain = compared(0.01, 0.0022)
    assert decide(measured(comparison=gain), GatePolicy()).verdict == "promote"
    assert decide(measured(comparison=gain, remedies=tried(is_judged=True)), GatePolicy()).verdict == "keep"
    assert decide(measured(comparison=gain, remedies=tried(is_judged=False)), GatePolicy()).verdict == "promote"


def test_the_reasons_say_what_was_tried_and_why() -> None:
    taken = decide(measured(remedies=tried(is_judged=True)), GatePolicy()).reasons
    assert "smallest remedy of champion 3 that is enough is a constant shift (intercept)" in taken[-1]
    assert "no change 0.5, intercept 0.5" in taken[-1]
    searched = decide(measured(remedies=tried(is_judged=False)), GatePolicy()).reasons
    assert "was not taken, because it did not pass the gate" in searched[-1]


def test_evidence_without_remedies_keeps_its_digest() -> None:
    assert "remedies" not in measured().model_dump(mode="json")
