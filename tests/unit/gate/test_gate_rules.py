"""What the gate decides by its rules, and how it says so."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from support.gating import CONVERTED, FULL_POLICY, SMALL, a_policy, compared, failed, first_champion, measured

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate import decide
from everfit.tasks.gate.check import number
from everfit.tasks.gate.holdout_start import count_overlap, holdout_start_allowed


def test_a_planted_overlap_is_refused() -> None:
    """Given 100 hold-out rows of which the champion has trained on 3, when judged, then they are found and counted."""
    holdout, trained = np.arange(1000, 1100), np.concatenate([np.arange(500), [1003, 1050, 1099]])
    overlap = count_overlap(holdout, np.arange(200, 1000), trained)
    assert overlap == 3
    decision = decide(measured(overlap_rows=overlap), FULL_POLICY)
    assert decision.verdict == "keep"
    assert "3 of the 9,120 hold-out rows were trained on" in decision.reasons[0]
    assert count_overlap(holdout, np.arange(1000)) == 0


def test_a_holdout_reaches_back_to_where_the_last_model_stopped_learning() -> None:
    early, late = datetime(2013, 2, 1, tzinfo=UTC), datetime(2013, 3, 1, tzinfo=UTC)
    assert holdout_start_allowed(early, late) == late
    assert holdout_start_allowed(None, early) == early
    assert holdout_start_allowed(None) is None


def test_a_first_champion_must_beat_the_dummy() -> None:
    assert decide(first_champion(), FULL_POLICY).reasons[0] == (
        "Promoted challenger 5 as the first champion: roc_auc .712 against the dummy's .500 on 9,120 rows; "
        "the gain of .212 is at least .200 with 95 % confidence"
    )
    worse = decide(first_champion(dummy_comparison=compared(0.002, -0.001, champion=0.5)), FULL_POLICY)
    assert worse.verdict == "keep"
    assert worse.reasons[0] == (
        "Released nothing, so there is no champion yet: the challenger's roc_auc .502 against the dummy's .500: "
        "the 95 % lower bound of its gain is -.001; it must be above 0"
    )


def test_a_champion_that_does_worse_than_the_dummy_is_replaced_by_a_challenger_that_surely_beats_it() -> None:
    """So it happens right after a change: to keep the champion would protect nothing."""
    even = compared(-0.002, -0.02, champion=0.5)
    useless = measured(comparison=compared(0.1, 0.08, champion=0.398), dummy_comparison=even)
    released = decide(useless, GatePolicy())
    assert released.verdict == "promote"
    (check,) = (check for check in released.checks if check.name == "dummy")
    assert "surely better than a champion that does worse than the dummy, as here" in check.reason
    unsure = measured(comparison=compared(0.1, -0.01, champion=0.398), dummy_comparison=even)
    assert failed(decide(unsure, GatePolicy())) == {"dummy", "comparison"}
    of_use = measured(
        comparison=compared(0.1, 0.08, champion=0.501), dummy_comparison=compared(0.1, -0.1, champion=0.5)
    )
    assert failed(decide(of_use, GatePolicy())) == {"dummy"}
    # A champion that need only not be much better is no proof that the challenger is of use.
    lenient = GatePolicy(comparison="non_inferiority", margin=0.01)
    as_bad = measured(
        comparison=compared(0.0, -0.005, champion=0.398), dummy_comparison=compared(-0.1, -0.12, champion=0.5)
    )
    assert failed(decide(as_bad, lenient)) == {"dummy"}


def test_a_minimum_of_a_loss_is_the_most_it_may_be() -> None:
    against: dict[str, Any] = {"metric": "rmse", "rarest_class_rows": None, "challenger": 11.5, "champion": 15.0}
    loss = {
        "metric": "rmse",
        "greater_is_better": False,
        "dummy_comparison": compared(3.5, 3.1, **against),
        "challenger": {"rmse": 11.5},
        "slices": None,
    }
    assert decide(first_champion(**loss), GatePolicy(minimum={"rmse": 11.5})).verdict == "promote"
    assert decide(first_champion(**loss), GatePolicy(minimum={"rmse": 12})).reasons[0] == (
        "Promoted challenger 5 as the first champion: rmse 11.5 against the dummy's 15 on 9,120 rows; "
        "the gain of 3.5 is at least 3.1 with 95 % confidence"
    )
    kept = decide(first_champion(**loss), GatePolicy(minimum={"rmse": 11}))
    assert kept.reasons[0].endswith("the challenger's rmse is 11.5; it must be at most 11")


def test_no_worse_by_a_margin_is_enough_under_non_inferiority() -> None:
    policy = GatePolicy(comparison="non_inferiority", margin=0.005)
    assert decide(measured(comparison=compared(-0.001, -0.004)), policy).verdict == "promote"
    assert decide(measured(comparison=compared(0, 0, method="identical")), policy).verdict == "promote"
    kept = decide(measured(comparison=compared(0.001, -0.006)), policy)
    assert "lower bound of the gain is -.007 on 9,120 rows; it must be above -.005" in kept.reasons[0]


def test_a_gain_must_be_as_large_as_asked_for() -> None:
    assert decide(measured(), GatePolicy(min_gain=0.005)).verdict == "promote"
    assert failed(decide(measured(), GatePolicy(min_gain=0.01))) == {"comparison"}


def test_the_person_on_call_reads_why() -> None:
    decision = decide(measured(comparison=compared(0.004, -0.002)), GatePolicy())
    assert decision.reasons[0] == (
        "Kept champion 3: the challenger's roc_auc .701 is .004 above the champion's .697, "
        "but the 97 % lower bound of the gain is -.003 on 9,120 rows; it must be above 0. "
        "A gain of .007 or more would have shown; to show .004, it takes about 18,000 more rows"
    )
    two = decide(measured(comparison=None, expectations_passed=False), GatePolicy())
    assert two.reasons == (
        "Kept champion 3: the data does not meet its expectations (and 1 more reason)",
        "how the challenger compares with champion 3 was not measured; unknown evidence does not pass",
    )


def test_too_few_rows_keep_extend_or_ask() -> None:
    keep, extend, ask = (decide(measured(**SMALL), a_policy(small_holdout=what)) for what in ("keep", "extend", "ask"))
    assert (keep.verdict, keep.extend_holdout) == ("keep", False)
    assert (extend.verdict, extend.extend_holdout) == ("keep", True)
    assert (ask.verdict, ask.extend_holdout) == ("needs_approval", False)
    assert "because gate.small_holdout is `ask`" in ask.reasons[0]
    assert "the hold-out has 90 rows; a comparison needs at least 200" in ask.reasons
    extended = decide(measured(**SMALL, holdout_extended=True), a_policy(small_holdout="extend"))
    assert (extended.verdict, extended.extend_holdout) == ("keep", False)


ONE_CLASS: dict[str, Any] = {
    "rarest_class_rows": 0,
    "challenger": {"roc_auc": None, "log_loss": 0.5},
    "comparison": None,
    "dummy_comparison": None,
    "not_measured": {"comparison": "all 9120 labels are 0", "dummy": "all 9120 labels are 0"},
    "not_enough": {"comparison": "all 9120 labels are 0", "dummy": "all 9120 labels are 0"},
}


def test_a_holdout_of_one_class_is_too_small() -> None:
    """Given rows on which nothing can be compared, then `gate.small_holdout` says what happens."""
    keep, extend, ask = (
        decide(measured(**ONE_CLASS), a_policy(small_holdout=what)) for what in ("keep", "extend", "ask")
    )
    assert failed(keep) == {"hold-out size", "dummy", "comparison", "minimum roc_auc"}
    assert (keep.verdict, keep.extend_holdout) == ("keep", False)
    assert (extend.verdict, extend.extend_holdout) == ("keep", True)
    assert ask.verdict == "needs_approval"
    leak = decide(measured(**ONE_CLASS, suspected_leaks=("arr_delay",)), a_policy(small_holdout="extend"))
    assert not leak.extend_holdout


def test_a_comparison_that_lacks_rows_is_too_small_whatever_their_number() -> None:
    """Given enough rows, all of the rarest class on one day, then the reason names what the comparison lacks."""
    lacking = {"comparison": None, "not_enough": {"comparison": "without one of 12 groups of rows it is not defined"}}
    decision = decide(measured(**lacking), a_policy(small_holdout="extend"))
    assert failed(decision) == {"hold-out size", "comparison"}
    assert decision.extend_holdout
    assert "the hold-out is too small: without one of 12 groups" in decision.reasons[0]


def test_a_small_holdout_excuses_nothing_else() -> None:
    for what in ("extend", "ask"):
        decision = decide(measured(**SMALL, expectations_passed=False), a_policy(small_holdout=what))
        assert (decision.verdict, decision.extend_holdout) == ("keep", False)


@pytest.mark.parametrize(
    ("changes", "first", "verdict", "level"),
    [
        ({"approval": "never", "risk": {"impact": "high", "probability": "high"}}, False, "promote", "high"),
        ({"approval": "always"}, False, "needs_approval", "low"),
        ({"approval": "on_risk"}, False, "promote", "low"),
        ({"approval": "on_risk", "risk": {"impact": "high"}}, False, "promote", "medium"),
        (
            {"approval": "on_risk", "risk": {"impact": "high", "approve_from": "medium"}},
            False,
            "needs_approval",
            "medium",
        ),
        ({"approval": "on_risk", "risk": {"impact": "high"}}, True, "needs_approval", "high"),
        ({"approval": "on_risk", "risk": {"impact": "high", "probability": "high"}}, True, "needs_approval", "high"),
    ],
)
def test_a_person_is_asked_as_the_policy_says(changes: dict[str, Any], first: bool, verdict: str, level: str) -> None:
    evidence = first_champion() if first else measured()
    decision = decide(evidence, a_policy(**changes))
    assert (decision.verdict, decision.risk) == (verdict, level)


def test_nobody_is_asked_about_what_failed() -> None:
    assert decide(measured(suspected_leaks=("dep_delay",)), a_policy(approval="always")).verdict == "keep"


def test_a_model_that_can_not_be_converted_is_released_as_it_was_fitted_and_says_why() -> None:
    refused = CONVERTED | {"accepted": False, "problem": "no converter for it"}
    decision = decide(measured(conversion=refused), a_policy(conversion=False))
    assert decision.verdict == "promote"
    (conversion,) = (check for check in decision.checks if check.name == "conversion")
    assert conversion.reason == (
        "the model could not be converted to onnx: no converter for it; it is released as it was fitted"
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.69712, ".697"),
        (-0.002, "-.002"),
        (0.00021, ".00021"),
        (1e-9, "1e-09"),
        (12.34, "12.3"),
        (-123.4, "-123"),
        (12345.6, "12,346"),
        (0.0, "0"),
        (-0.0, "0"),
        (0.9999, "1.000"),
        (1.0, "1"),
        (10.04, "10"),
        (None, "not measured"),
    ],
)
def test_numbers_are_as_short_as_they_can_be_read(value: float | None, written: str) -> None:
    assert number(value) == written


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"challenger": {"roc_auc": 0.998, "log_loss": 0.02}},
            "it is nearly perfect (roc_auc .998), as a model is that sees the label",
        ),
        ({"namesakes": ("fraud_code",)}, "it uses fraud_code, called like the target"),
    ],
)
def test_a_person_looks_at_a_first_champion_that_may_see_the_label(changes: dict[str, Any], words: str) -> None:
    first = first_champion(**changes)
    decision = decide(first, FULL_POLICY)
    assert decision.verdict == "needs_approval"
    assert words in decision.reasons[0]
    assert decide(first, a_policy(leaks=False)).verdict == "promote"


def test_a_jump_to_near_perfection_is_suspected_later_too_but_not_between_two_such_models() -> None:
    perfect = {"roc_auc": 0.998, "log_loss": 0.02}
    assert decide(measured(challenger=perfect), FULL_POLICY).verdict == "needs_approval"
    assert decide(measured(challenger=perfect, champion=perfect), FULL_POLICY).verdict == "promote"
    assert decide(measured(namesakes=("fraud_code",)), FULL_POLICY).verdict == "promote"


@pytest.mark.parametrize(("rmse", "verdict"), [(0.5, "needs_approval"), (1.5, "promote")])
def test_an_error_near_zero_is_near_perfection(rmse: float, verdict: str) -> None:
    against: dict[str, Any] = {"metric": "rmse", "rarest_class_rows": None, "challenger": rmse, "champion": 15.0}
    loss = {
        "metric": "rmse",
        "greater_is_better": False,
        "dummy_comparison": compared(15 - rmse, 13, **against),
        "challenger": {"rmse": rmse},
        "dummy": {"rmse": 15.0},
        "slices": None,
    }
    assert decide(first_champion(**loss), GatePolicy()).verdict == verdict
