"""The one decorator of steps."""

from dataclasses import dataclass

import pytest
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from everfit.tasks.steps.step import step

pytestmark = pytest.mark.usefixtures("prefect_server")


@dataclass(frozen=True)
class History:
    """A record that Prefect would look into, if it were not everfit's own."""

    last: State[int]


@step("compute")
def last_of(histories: list[History], more: int) -> tuple[State[int], int]:
    return histories[0].last, more


@step("compute")
def double(number: int) -> int:
    return 2 * number


def test_everfits_own_records_reach_a_step_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(History, "__module__", "everfit.tasks.history")
    state = Completed(data=3)

    @flow
    def one() -> tuple[State[int], int]:
        return last_of([History(state)], double.submit(2))

    last, more = one()

    assert last is state
    assert more == 4  # what is not a record is still waited for


def test_what_is_not_everfits_is_looked_into_as_prefect_does() -> None:
    @flow
    def one() -> tuple[int, int]:
        return last_of([History(Completed(data=3))], 1)

    assert one() == (3, 1)
