"""A challenger that waits for evidence is judged again by and by, and never in place of a turn that is due."""

from typing import Any

import pytest
from support.triage import attempt, decide, signals
from support.triage_reasons import WAITS

from everfit.tasks.triage.admission import TurnRequest, admit
from everfit.tasks.triage.case import TriagePolicy
from everfit.tasks.triage.history import History, PastTurn
from everfit.tasks.triage.signals import LabelsSignal, Signals


def look(number: int, unseen: int, new: int) -> Signals:
    return signals(number, labels=LabelsSignal(status="measured", new_rows=new, unseen_rows=unseen))


def judged(number: int, outcome: str = "other", **changes: Any) -> PastTurn:
    known = {"kind": "waiting", "loss": None, "waits": 4, "waits_against": 3, "judged_by": 2_700, "unseen_rows": 3_700}
    return attempt(number, outcome, **(known | changes))


def test_it_is_judged_again_when_a_third_as_many_rows_have_come() -> None:
    once = History(turns=(WAITS,))
    assert decide(look(0, 3_660, 660), once).verdict == "healthy"
    found = decide(look(0, 3_667, 667), once)
    assert (found.verdict, found.rule, found.kind) == ("judge", "more_evidence", "waiting")
    assert "it was judged by 2,000 rows, and 667 got a mature label since; from 667 on" in found.reasons[0]
    again = History(turns=(WAITS, judged(0)))
    assert decide(look(1, 4_490, 1_490), again).verdict == "healthy"  # 790 since the last judgement
    assert decide(look(1, 4_499, 1_499), again).verdict == "healthy"
    assert decide(look(1, 4_499, 1_499), again, cadence="never").verdict == "healthy"
    assert decide(look(1, 4_600, 1_600), again, cadence="never").verdict == "judge"


def test_a_turn_that_is_due_goes_first() -> None:
    assert decide(look(0, 4_500, 1_500), History(turns=(WAITS,))).verdict == "retrain"
    never = decide(look(0, 4_500, 1_500), History(turns=(WAITS,)), cadence="never")
    assert never.verdict == "judge"


@pytest.mark.parametrize(
    "later",
    [
        judged(-1, waits=None, waits_against=None),  # more rows have not shown it to be better
        attempt(-1, kind="manual", loss=None),  # a newer challenger
        attempt(-1, "promoted", kind="manual", version=3),  # a new champion
        judged(-1, "promoted", version=3),
    ],
)
def test_it_waits_no_longer_after_a_better_one_or_a_judgement_against_it(later: PastTurn) -> None:
    found = decide(look(0, 9_000, 6_000), History(turns=(WAITS, later)), cadence="never")
    assert found.rule != "more_evidence"
    assert found.waiting == ""


def test_another_champion_ends_the_wait() -> None:
    moved = WAITS.model_copy(update={"waits_against": 2})
    assert decide(look(0, 9_000, 6_000), History(turns=(moved,)), cadence="never").verdict != "judge"


def test_a_judgement_is_no_try_and_costs_neither_cooldown_nor_budget() -> None:
    look_again = judged(0)
    # The next turn is due by the rows since the last training, not since the judgement.
    assert decide(look(1, 4_500, 1_500), History(turns=(WAITS, look_again))).verdict == "retrain"
    decision = decide(look(0, 3_667, 667), History(turns=(WAITS,)))
    tight = TriagePolicy().retraining.model_copy(update={"budget": {"turns": 0, "per": "30d"}})
    tight = type(tight).model_validate({"budget": {"turns": 0, "per": "30d"}, "cooldown": "300d"})
    assert admit(TurnRequest.of(decision), [WAITS], decision.window.until, tight).admitted
    running = attempt(-1, "running")
    assert admit(TurnRequest.of(decision), [WAITS, running], decision.window.until, tight).refused_by == "in_flight"
    turn = TurnRequest.of(decide(look(1, 4_500, 1_500), History(turns=(WAITS, look_again))))
    short = type(tight).model_validate({"cooldown": "10d"})
    assert admit(turn, [WAITS, look_again], turn.until, short).admitted
    assert not admit(turn, [WAITS, judged(0, "kept", kind="quality")], turn.until, short).admitted
