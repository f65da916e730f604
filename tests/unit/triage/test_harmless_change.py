"""A change of the data that leaves quality as it was is watched, and a real loss is not blamed on it."""

from support.triage import SICK, WEEK, broken, decide, quality, reference, signals, week

from everfit.tasks.core.records import Window
from everfit.tasks.triage import TriageDecision
from everfit.tasks.triage.history import History
from everfit.tasks.triage.quality_signals import QualitySignal
from everfit.tasks.triage.signals import LabelsSignal, Signals

GONE = broken("missing", "pressure, visib")


def live(looks: list[Signals], **retraining: object) -> list[TriageDecision]:
    """Decide window by window, each with the windows before it."""
    history, decisions = History(), []
    for look in looks:
        decisions.append(decide(look, history, **retraining))
        history = History(windows=(*history.windows, decisions[-1].remembered))
    return decisions


def late(number: int, value: float = 0.75) -> QualitySignal:
    """Quality whose labels come a day late."""
    own = week(number)
    assert own.since is not None
    window = Window(since=own.since - WEEK / 7, until=own.until - WEEK / 7)
    return quality(value, number, window=window)


def test_it_is_quarantined_until_quality_on_such_rows_is_known_for_some_windows() -> None:
    rules = [decision.rule for decision in live([signals(n, data=GONE, quality=late(n)) for n in range(6)])]
    assert rules == ["bad_data"] * 2 + ["harmless_change"] * 4


def test_labelled_rows_from_before_the_change_show_nothing() -> None:
    def far_back(number: int) -> QualitySignal:
        return quality(0.75, number - 4)

    rules = [decision.rule for decision in live([signals(n, data=GONE, quality=far_back(n)) for n in range(6)])]
    assert rules == ["bad_data"] * 4 + ["harmless_change"] * 2


def test_quality_that_is_lost_or_not_known_leaves_it_in_quarantine() -> None:
    unknown = QualitySignal(status="not_enough", reason="no mature labels")
    unsure = [quality(0.75, n, standard_error=0.05) for n in range(6)]
    for result in ([SICK] * 6, [unknown] * 6, unsure):
        looks = [signals(n, data=GONE, quality=item) for n, item in enumerate(result)]
        assert {decision.rule for decision in live(looks)} == {"bad_data"}


def test_a_loss_that_comes_later_is_a_real_one() -> None:
    looks = [signals(n, data=GONE, quality=late(n, 0.75 if n < 5 else 0.6)) for n in range(7)]
    assert [decision.rule for decision in live(looks)][4:] == ["harmless_change", "realised_loss", "realised_loss"]


def test_it_stays_harmless_while_turns_are_tried() -> None:
    def counted(number: int) -> LabelsSignal:
        return LabelsSignal(status="measured", new_rows=1_000, unseen_rows=1_000 if number == 4 else 100)

    looks = [signals(n, data=GONE, quality=late(n), labels=counted(n)) for n in range(6)]
    rules = [decision.rule for decision in live(looks)]
    assert rules == ["bad_data", "bad_data", "harmless_change", "harmless_change", "enough_new_rows", "harmless_change"]


def test_it_stays_harmless_when_some_of_the_problems_are_gone() -> None:
    looks = [signals(n, data=GONE, quality=late(n)) for n in range(4)]
    fewer = signals(4, data=broken("broken_sensor", "visib"), quality=late(4))
    assert live([*looks, fewer])[-1].rule == "harmless_change"


def test_another_problem_and_another_champion_are_judged_anew() -> None:
    looks = [signals(n, data=GONE, quality=late(n)) for n in range(4)]
    other = signals(4, data=broken("frozen", "temp"), quality=late(4))
    young = signals(4, data=GONE, quality=late(4), reference=reference(id="reference-4", version=4))
    assert live([*looks, other])[-1].rule == "bad_data"
    assert live([*looks, young])[-1].rule == "bad_data"


def test_the_reason_says_how_to_accept_it() -> None:
    result = live([signals(n, data=GONE, quality=late(n)) for n in range(4)])[-1]
    assert (result.verdict, result.notify) == ("watch", False)
    assert result.reasons[0] == "pressure, visib: missing; this is harmless"
    assert "everfit expectations MODEL --write" in result.reasons[-1]
