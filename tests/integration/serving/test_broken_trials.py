"""A trial whose turn or look is broken off anywhere ends as one that was not."""

from datetime import UTC, datetime
from typing import Any

import pytest
from support.trials import HOUR, SINCE, begin, left, live, traffic, two_versions

from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Turn
from everfit.tasks.ledger.decisions import Decisions
from everfit.tasks.ledger.releases import Releases
from everfit.tasks.ledger.turns import Turns
from everfit.tasks.registry import model_registry as registered
from everfit.tasks.release import approvals
from everfit.tasks.release.traffic import trial_ending, trial_journal, trials
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context


@pytest.fixture
def context(registry: Any) -> Context:
    """A champion (1), and a challenger (2) that the gate promoted in a turn which is still running."""
    return two_versions(registry)


class Killed(BaseException):
    """What a process that is killed leaves undone."""


def begin_and_die(context: Context) -> Turn:
    """The turn is broken off after its trial has begun, and before it could end as one on trial."""

    def tried() -> None:
        with context.ledger.turns.take("delays", Trigger(reason="tried"), Window(until=SINCE)) as turn:
            champion = context.ledger.releases.current("delays")
            assert champion is not None
            trials.begin(context, turn, 2, champion)
            raise Killed

    with pytest.raises(Killed):
        tried()
    [turn] = context.ledger.turns.of("delays")
    assert turn.state == "failed"
    return turn


def run_again(context: Context) -> Turn:
    """What the training flow does with a turn that was broken off there."""
    with context.ledger.turns.take("delays", Trigger(reason="tried"), Window(until=SINCE)) as turn:
        if context.ledger.releases.of_turn(turn.id) is not None:
            return context.ledger.turns.finish(turn, state=turn_record.PROMOTED, verdict="promote")
        champion = context.ledger.releases.current("delays")
        assert champion is not None
        state = trials.begin(context, turn, 2, champion)
        context.ledger.turns.finish(turn, state=turn_record.ON_TRIAL, verdict="promote", reasons=(state.plan.id,))
    approvals.reconcile(context, datetime.now(UTC))
    return context.ledger.turns.get(turn.id)


def test_a_trial_whose_turn_was_broken_off_can_be_stopped(context: Context) -> None:
    turn = begin_and_die(context)
    found = trials.stop(context, "ann", "not before the holidays")

    assert found.turn_state == "Returned"
    assert (left(context, turn)["challenger"], left(context, turn)["tag"]) == (None, None)
    assert approvals.reconcile(context, datetime.now(UTC)) == []
    again = run_again(context)
    assert (again.state, again.reasons[0]) == ("Returned", "Returned by ann: not before the holidays")
    assert (left(context, turn)["challenger"], left(context, turn)["tag"]) == (None, None)


def test_a_trial_whose_turn_was_broken_off_releases_what_is_better(context: Context) -> None:
    turn = begin_and_die(context)
    seen = live(context, 1.6)

    assert (seen[0].turn_state, seen[-1].turn_state) == ("OnTrial", "Promoted")
    found = left(context, turn)
    assert (found["champion"], found["challenger"], found["tag"]) == (2, None, None)
    assert found["releases"][-1][-1] == turn.id
    assert run_again(context).state == "Promoted"
    assert left(context, turn)["releases"] == found["releases"]


def test_a_trial_that_ended_and_was_not_withdrawn_is_withdrawn_by_the_next_flow(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = begin_and_die(context)

    def dies(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(trial_ending, "withdraw", dies)
        with pytest.raises(Killed):
            trials.stop(context, "ann", "not before the holidays")
    assert left(context, turn)["tag"] is not None

    assert "version 2 was still on trial" in "; ".join(approvals.reconcile(context, datetime.now(UTC)))
    assert (left(context, turn)["challenger"], left(context, turn)["tag"]) == (None, None)
    assert approvals.reconcile(context, datetime.now(UTC)) == []


def test_another_champion_ends_a_trial_whose_turn_was_broken_off(context: Context) -> None:
    turn = begin_and_die(context)
    registered.set_alias(context.mlflow, "delays", "champion", 2)

    approvals.reconcile(context, datetime.now(UTC))

    assert trial_journal.on_trial(context) is None
    assert left(context, turn)["tag"] is None


def test_a_turn_that_is_run_again_after_its_trial_leaves_another_trial_alone(context: Context, registry: Any) -> None:
    turn = begin_and_die(context)
    trials.stop(context, "ann", "not before the holidays")
    registry.add("delays", "second")
    with context.ledger.turns.take("delays", Trigger(reason="next"), Window(until=SINCE + HOUR)) as other:
        champion = context.ledger.releases.current("delays")
        assert champion is not None
        trials.begin(context, other, 3, champion)
        context.ledger.turns.finish(other, state=turn_record.ON_TRIAL, verdict="promote", reasons=("tried",))

    assert run_again(context).state == "Returned"
    state = trial_journal.on_trial(context)
    assert state is not None
    assert state.plan.id == other.id != turn.id
    challenger = registered.challenger(context.mlflow, "delays")
    assert challenger is not None
    assert challenger.version == 3


@pytest.mark.parametrize("strength", [1.6, 0.0])
def test_a_look_that_is_broken_off_anywhere_ends_as_one_that_was_not(
    context: Context, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_and_die(at: datetime, point: tuple[Any, str]) -> bool:
        owner, name = point
        real = getattr(owner, name)

        def dies(*given: Any, **named: Any) -> Any:
            real(*given, **named)
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(owner, name, dies)
            try:
                trials.look_at(context, at)
            except Killed:
                return True
        return False

    turn = begin(context)
    # In the order of what a look does, so that each one gets a little farther than the one before.
    alias, tag = (registered, "set_alias"), (registered, "set_version_tag")
    released = [(Releases, "intend"), alias, (Releases, "advance"), tag]
    order = [(Decisions, "record"), *(released if strength else [tag, alias]), (Turns, "finish")]
    died = []
    for hour in range(0, 96, 6):
        at = SINCE + (hour + 6) * HOUR
        traffic(context, SINCE + hour * HOUR, at, strength, hour)
        died = [point for point in order if look_and_die(at, point)]
        trials.look_at(context, at)
        if trial_journal.on_trial(context) is None:
            break
    found = left(context, turn)
    assert died == order
    assert found["turn"][0] == ("Promoted" if strength else "Returned")
    assert (found["champion"], found["challenger"], found["tag"]) == (2 if strength else 1, None, None)
    assert len(found["releases"]) == (2 if strength else 1)
    assert len({one[0] for one in found["decisions"]}) == len(found["decisions"])
    assert approvals.reconcile(context, datetime.now(UTC)) == []
