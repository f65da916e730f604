"""A turn is tried when there are enough rows that the champion has not seen, and more rarely while that is in vain."""

from datetime import timedelta
from typing import Any

import pytest
from support.triage import SICK, START, WEEK, attempt, broken, decide, quality, reference, signals, week

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.triage import triage
from everfit.tasks.triage.case import TriagePolicy, sign
from everfit.tasks.triage.history import History, PastTurn
from everfit.tasks.triage.signals import DriftSignal, LabelsSignal, Signals
from everfit.tasks.triage.user_signals import OwnSignal


def labelled(unseen: int, new: int | None = None, weeks: float = 8) -> LabelsSignal:
    """Rows with mature labels since the champion was trained, and since the last turn."""
    span = Window(since=START + WEEK - weeks * WEEK, until=START + WEEK)
    return LabelsSignal(status="measured", new_rows=unseen if new is None else new, unseen_rows=unseen, unseen=span)


def look(unseen: int, new: int | None = None, weeks: float = 8, **changes: Any) -> Signals:
    return signals(labels=labelled(unseen, new, weeks), **changes)


def tried(outcome: str = "kept", **changes: Any) -> PastTurn:
    return attempt(-2, outcome, **({"signature": sign("new_rows"), "kind": "new_data", "loss": None} | changes))


def test_the_first_turn_is_tried_when_the_gate_has_rows_enough_that_span_a_window() -> None:
    assert decide(look(399)).verdict == "healthy"
    result = decide(look(400))
    assert (result.verdict, result.rule, result.kind) == ("retrain", "enough_new_rows", "new_data")
    assert "400 rows with mature labels since the champion was trained" in result.reasons[0]
    assert decide(look(5_000, weeks=0.8)).verdict == "healthy"
    assert decide(look(5_000, weeks=0.95)).verdict == "retrain"  # calendar months differ in length
    large = TriagePolicy(gate_rows=1_000)
    assert triage(look(1_999), History(), large).verdict == "healthy"
    assert triage(look(2_000), History(), large).verdict == "retrain"


def test_the_gate_needs_rows_of_the_rarest_class_too_but_not_for_ever() -> None:
    def rare(rows: int, unseen: int = 1_000) -> Signals:
        return signals(labels=labelled(unseen).model_copy(update={"rarest_rows": rows}))

    assert decide(rare(40)).rule == "enough_new_rows"
    few = decide(rare(39))
    assert few.verdict == "healthy"
    assert "and 40 of the rarest class, of which there are 39" in few.next_try
    assert decide(rare(3, unseen=3_200)).rule == "enough_new_rows"


def test_after_a_try_in_vain_the_rows_must_grow_by_the_factor() -> None:
    vain = History(turns=(tried(),))
    assert decide(look(2_999, new=1_499), vain).verdict == "healthy"
    result = decide(look(3_000, new=1_500), vain)
    assert result.rule == "enough_new_rows"
    assert "the last try at 1,500 did not help, so the next is at 3,000" in result.reasons[0]
    assert decide(look(4_499, new=2_999), vain, back_off_factor=3).verdict == "healthy"


@pytest.mark.parametrize(
    ("growth_to_show", "needed"),
    [
        (1.1, 2_000),  # a third of the usual growth is the least: almost the same rows show nothing new
        (1.6, 2_400),
        (2.5, 3_000),  # no more than after a try that did not help
    ],
)
def test_after_a_gain_that_was_not_certain_the_rows_must_grow_until_it_would_show(
    growth_to_show: float, needed: int
) -> None:
    near = History(turns=(tried(growth_to_show=growth_to_show),))
    assert decide(look(needed - 1, new=needed - 1_501), near).verdict == "healthy"
    result = decide(look(needed, new=needed - 1_500), near)
    assert f"the last try at 1,500 gained too little to be certain, so the next is at {needed:,}" in result.reasons[0]


def test_after_a_release_the_wait_starts_again_at_the_base() -> None:
    released = History(turns=(tried(), tried("promoted", version=3)))
    assert decide(look(450, new=450), released).rule == "enough_new_rows"
    # A release that was taken back was a try in vain.
    back = History(turns=(tried("promoted", version=4),))
    assert decide(look(1_900, new=900), back).verdict == "healthy"
    assert decide(look(2_000, new=1_000), back).rule == "enough_new_rows"


def test_a_quiet_world_is_tried_about_log2_times_and_a_moving_one_at_every_look() -> None:
    def tries(outcome: str, looks: int) -> list[int]:
        turns: list[PastTurn] = []
        trained = last = 0
        for number in range(1, looks + 1):
            now = signals(
                number,
                labels=labelled(500 * (number - trained), 500 * (number - last)),
                reference=reference(version=3 + (len(turns) if outcome == "promoted" else 0)),
            )
            if decide(now, History(turns=tuple(turns))).rule == "enough_new_rows":
                turns.append(tried(outcome, turn_id=f"turn-{number}", until=week(number).until, version=4 + len(turns)))
                last = number
                trained = number if outcome == "promoted" else trained
        return [int(turn.turn_id.removeprefix("turn-")) for turn in turns]

    assert tries("kept", 200) == [1, 2, 4, 8, 16, 32, 64, 128]
    assert tries("promoted", 20) == list(range(1, 21))


@pytest.mark.parametrize("outcome", ["failed", "rejected", "other"])
def test_a_turn_that_made_no_challenger_is_no_try(outcome: str) -> None:
    broken = History(turns=(tried(outcome, until=START - 8 * WEEK),))
    assert decide(look(500, new=500), broken).rule == "enough_new_rows"


@pytest.mark.parametrize("outcome", ["running", "awaiting_approval"])
def test_nothing_is_tried_while_a_turn_is_open(outcome: str) -> None:
    assert decide(look(5_000), History(turns=(tried(outcome),))).verdict == "healthy"


@pytest.mark.parametrize("off", [{"on": "nothing"}, {"cadence": "never"}, {"new_data": {"rows": 9_000}}])
def test_a_person_can_switch_it_off_or_set_another_number(off: dict[str, Any]) -> None:
    result = decide(look(5_000), **off)
    assert (result.verdict, result.next_try) == ("healthy", "")


def test_a_person_who_sets_new_data_gets_that_number() -> None:
    assert decide(look(9_000), new_data={"rows": 9_000}).rule == "enough_new_data"


def test_rows_that_could_not_be_counted_start_nothing() -> None:
    assert decide(signals(labels=LabelsSignal(status="failed", reason="boom"))).rule == "failed_evidence"
    kept = LabelsSignal.recall({"status": "measured", "new_rows": 9_000})  # by an earlier everfit
    assert decide(signals(labels=kept)).verdict == "healthy"


def test_a_try_that_would_not_pay_is_not_made() -> None:
    costs = {"value_per_metric_unit": 0.01, "unit": "EUR", "cost_per_turn": 1_000}
    result = decide(look(5_000), cost_benefit=costs)
    assert result.verdict == "healthy"
    assert "a turn costs 1,000 EUR and would win back" in result.next_try
    assert decide(look(5_000), cost_benefit=costs | {"value_per_metric_unit": 10.0}).verdict == "retrain"


def test_the_sum_is_shown_while_the_try_is_not_due() -> None:
    result = decide(look(2_000, new=500), History(turns=(tried(),)))
    assert result.next_try == (
        "2,000 rows with mature labels since the champion was trained; the last try at 1,500 did not help, so the next "
        "is at 3,000"
    )
    assert result.unseen_rows == 2_000


def test_what_needs_a_person_comes_before_a_try() -> None:
    signal = OwnSignal(status="measured", signal="stock", ok=False, action="escalate")
    assert decide(look(5_000, own=(signal,))).rule == "signal_escalation"
    assert decide(look(5_000, drift=DriftSignal(status="failed", reason="boom"))).rule == "failed_evidence"
    assert decide(look(5_000, data=broken("frozen", "temp"))).rule == "bad_data"


def test_a_loss_asks_at_once_whatever_was_tried_by_cadence() -> None:
    result = decide(look(1_600, new=100, quality=SICK), History(turns=(tried(unseen_rows=1_500),)))
    assert (result.verdict, result.rule) == ("retrain", "realised_loss")


def lost(number: int, unseen: int, **changes: Any) -> PastTurn:
    """A try because of a loss that one window of 2,000 rows showed."""
    return attempt(number, **({"unseen_rows": unseen, "loss_rows": 2_000} | changes))


@pytest.mark.parametrize(
    ("turns", "last", "first_again"),
    [
        ([lost(2, 50_000)], 50_000, 52_000),
        ([lost(2, 50_000, growth_to_show=1.5)], 50_000, 51_000),
        ([lost(2, 50_000), lost(3, 52_000)], 52_000, 56_000),
        ([lost(2, 50_000), lost(3, 52_000), lost(5, 56_000)], 56_000, 64_000),
    ],
)
def test_a_loss_tried_in_vain_is_tried_again_when_the_rows_since_it_began_have_grown(
    turns: list[PastTurn], last: int, first_again: int
) -> None:
    def ask(unseen: int) -> Any:
        now = look(unseen, new=unseen - last, quality=quality(0.65, 9))
        return decide(now.model_copy(update={"window": week(9)}), History(turns=tuple(turns)), cadence="never")

    early, again = ask(first_again - 1), ask(first_again)
    assert early.rule == ("retraining_in_vain" if len(turns) >= 3 else "backing_off")
    assert "since the loss began" in early.reasons[2]
    assert (again.verdict, again.rule) == ("retrain", "realised_loss")


def test_an_attempt_without_labelled_rows_waits_for_a_time() -> None:
    # Given an attempt for a loss that was estimated, when the champion had seen all labelled rows,
    tried_then = History(turns=(lost(8, 0, loss_rows=5_000),))
    now = look(100, new=100, quality=quality(0.65, 9))
    early, later = (now.model_copy(update={"window": week(number)}) for number in (8, 9))
    within = early.window.model_copy(update={"until": early.window.until + timedelta(hours=1)})
    assert decide(early.model_copy(update={"window": within}), tried_then, cadence="never").rule == "backing_off"
    assert decide(later, tried_then, cadence="never").rule == "realised_loss"


def test_what_was_tried_in_vain_is_no_ban() -> None:
    turns = tuple(lost(n, 50_000 + 2_000 * n, until=START + timedelta(days=n)) for n in range(12))
    now = look(200_000, new=100_000, quality=SICK).model_copy(update={"window": week(20)})
    assert decide(now, History(turns=turns)).rule == "realised_loss"
    assert decide(now, History(turns=turns), max_attempts=6, cadence="never").rule == "retraining_in_vain"


def test_a_loss_that_a_release_did_not_win_back_is_tried_again_on_rows_that_came_since() -> None:
    turns = History(turns=(lost(3, 50_000, outcome="promoted", helped=False, version=3),))
    few = look(300, new=300, quality=quality(0.65, 9)).model_copy(update={"window": week(9)})
    many = look(400, new=400, quality=quality(0.65, 9)).model_copy(update={"window": week(9)})
    assert decide(few, turns, cadence="never").rule == "backing_off"
    assert decide(many, turns, cadence="never").rule == "realised_loss"


def test_the_defaults_let_one_turn_a_look_through() -> None:
    budget, cooldown = RetrainingPolicy().budget, RetrainingPolicy().cooldown
    assert budget.turns * cooldown >= budget.per
