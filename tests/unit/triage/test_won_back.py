"""The share of a loss that turns have won back replaces the assumption that the next one wins back all."""

import pytest
from support.triage import SICK, attempt, decide, signals, week

from everfit.tasks.triage.history import History, PastTurn
from everfit.tasks.triage.won_back import won_back

COSTS = {"unit": "EUR", "value_per_metric_unit": 0.01, "cost_per_turn": 10}


def share(*turns: PastTurn) -> float:
    return won_back(turns, week(0).until).share


def test_a_model_without_results_is_expected_to_win_back_all() -> None:
    assert share() == 1.0
    assert share(attempt(1, "running"), attempt(2, "failed"), attempt(3, "promoted")) == 1.0
    assert share(attempt(1, kind="new_data")) == 1.0
    assert share(attempt(1, loss=None)) == 1.0
    assert share(attempt(1, waits=4)) == 1.0  # its challenger may be released yet


def test_each_result_counts_as_much_as_the_assumption() -> None:
    assert share(attempt(1)) == 0.5
    assert share(attempt(1), attempt(2)) == pytest.approx(1 / 3)
    assert share(attempt(1, "promoted", live_gain=0.06)) == pytest.approx(0.8)
    assert share(attempt(1, "promoted", live_gain=0.3)) == 1.0
    assert share(attempt(1, "promoted", live_gain=-0.3)) == 0.5


def test_old_results_are_forgotten() -> None:
    assert won_back([attempt(1)], week(1).until).share == 1.0


def test_a_turn_that_pays_only_if_it_wins_back_all_is_not_called_for_a_model_that_never_did() -> None:
    # A loss of .1 on 27,000 rows at .01 EUR is worth 27 EUR, and a turn costs 10.
    hopeful = decide(signals(9, quality=SICK), History(), cost_benefit=COSTS)
    assert hopeful.expected_gain == pytest.approx(27)
    in_vain = History(turns=(attempt(1), attempt(2)))
    decision = decide(signals(9, quality=SICK), in_vain, cost_benefit=COSTS)
    assert decision.expected_gain == pytest.approx(9)
    assert decision.rule == "not_worth_it"
    figures = {figure.name: figure for figure in decision.figures}
    assert figures["share of a loss that a turn wins back"].value == "0.3333"
    assert "0.3333 won back" in figures["value of winning back the loss"].origin
