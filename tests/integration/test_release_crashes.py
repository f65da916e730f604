"""Killed at any statement, a release leaves one champion that ledger and registry agree on.

A child process runs a release under a trace that counts the lines of everfit's own code and of the registry's, and
kills the process with SIGKILL before the n-th. Another then reconciles, as the next everfit command would, and
checks what is left. Children are forked from the warm test process: starting Python for each would take minutes.
"""

import itertools
import os
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from mlflow import MlflowClient
from support.release_crashes import (
    MARCH,
    SCENARIOS,
    Act,
    Case,
    agree,
    challenge,
    crash,
    delete_alias,
    move_alias,
    points,
    promote,
    promote_next,
    reconcile_all,
    release_first,
    roll_back,
)

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.records import Trigger
from everfit.tasks.ledger import Ledger
from everfit.tasks.registry import model_registry
from everfit.tasks.release.release import reconcile, release, rollback


@pytest.fixture
def fast_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where that is possible: hundreds of commits would wait for the disk, which SIGKILL leaves alone."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(prefix="everfit-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture(scope="module", autouse=True)
def _warm(flights_registry: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Everything is done once here, so that the children inherit what libraries work out at their first use."""
    folder = tmp_path_factory.mktemp("warm")
    ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}")
    client = MlflowClient(tracking_uri=flights_registry.copy(folder))
    for act in (release_first, challenge, promote, roll_back, delete_alias, reconcile_all, move_alias, reconcile_all):
        act(ledger, client)


@pytest.fixture
def make_case(flights_registry: Any, fast_path: Path) -> Callable[[str], Callable[[], Case]]:
    """Makes cases of a scenario on SQLite: the state before is made once, and copied."""
    numbers = itertools.count()

    def prepare(scenario: str) -> Callable[[], Case]:
        template = fast_path / "template"
        template.mkdir()
        flights_registry.copy(template)
        first = Case(template, f"sqlite:///{template / 'ledger.db'}")
        Ledger.open(first.ledger_url)
        assert first.run(*SCENARIOS[scenario][0]) == 0

        def make() -> Case:
            folder = fast_path / f"case-{next(numbers)}"
            shutil.copytree(template, folder)
            return Case(folder, f"sqlite:///{folder / 'ledger.db'}")

        return make

    return prepare


@pytest.mark.parametrize("places", ["some places", pytest.param("many places", marks=pytest.mark.long)])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_anywhere_it_leaves_one_champion_that_all_agree_on(scenario: str, places: str, make_case: Any) -> None:
    count = SCENARIOS[scenario][3 if places == "some places" else 4]

    assert crash(make_case(scenario), scenario, count) >= count - 1


def test_a_reconciler_that_is_killed_is_reconciled(make_case: Any) -> None:
    make = make_case("promotion")
    whole = make()
    whole.run(promote, counted=True)
    for point in points(whole.lines(), 5)[1:-1]:
        for second in (40, 300):
            case = make()
            case.run(promote, kill_at=point)
            case.run(reconcile_all, kill_at=second)
            case.run(reconcile_all, agree(1, 2))


def test_a_turn_that_was_killed_ends_as_if_it_had_not_been(make_case: Any) -> None:
    make = make_case("promotion")
    whole = make()
    whole.run(promote, counted=True)
    for point in points(whole.lines(), 8):
        case = make()
        case.run(promote, kill_at=point)
        case.run(_promote_again, agree(2))


def test_a_rollback_whose_answer_nobody_got_is_not_made_twice(make_case: Any) -> None:
    case = make_case("promotion")()
    case.run(promote, promote_next)

    assert case.run(_roll_back_and_die) == -signal.SIGKILL

    case.run(_champion_is(2), _roll_back_until_answered, _champion_is(2), _roll_back_until_answered, _champion_is(1))


def _champion_is(version: int) -> Act:
    def check(_: Ledger, client: MlflowClient) -> None:
        assert model_registry.model_version(client, "flights", version) == model_registry.champion(client, "flights")

    return check


def _roll_back_until_answered(ledger: Ledger, client: MlflowClient) -> None:
    """As the command does."""
    with ledger.leases.hold("flights", scope="rollback") as until_answered:
        rollback(ledger, client, "flights", reason="complaints", actor="ann", killed=until_answered.died)


def _roll_back_and_die(ledger: Ledger, client: MlflowClient) -> None:
    with ledger.leases.hold("flights", scope="rollback"):
        roll_back(ledger, client)
        os.kill(os.getpid(), signal.SIGKILL)


def _promote_again(ledger: Ledger, client: MlflowClient) -> None:
    """As the flow does: reconcile, take the turn up, release unless that was done."""
    reconcile(ledger, client, "flights")
    with ledger.turns.take("flights", Trigger(), MARCH) as turn:
        if turn.settled:
            return
        made = ledger.releases.of_turn(turn.id) or release(
            ledger, client, "flights", 2, expected_previous=1, reason="better", actor="gate", turn=turn
        )
        ledger.turns.finish(turn, state="Promoted", verdict="promote", record=made)


def test_of_twenty_who_promote_at_once_one_wins_each_number(make_case: Any) -> None:
    case = make_case("first")()
    start, go = os.pipe()
    children = []
    for number in range(20):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                ledger, client = Ledger.open(case.ledger_url), MlflowClient(tracking_uri=case.tracking_uri)
                os.close(go)
                os.read(start, 1)  # Until all are there.
                wins = _rounds(ledger, client)
                (case.folder / f"wins-{number}").write_text(str(wins))
                code = 0
            except BaseException:  # noqa: BLE001
                (case.folder / "log").write_text(traceback.format_exc())
            finally:
                os._exit(code)
        children.append(pid)
    os.close(start)
    os.close(go)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]

    assert codes == [0] * 20, (case.folder / "log").read_text()
    wins = sum(int((case.folder / f"wins-{number}").read_text()) for number in range(20))
    releases = Ledger.open(case.ledger_url).releases.of("flights")
    assert [entry.seq for entry in releases] == list(range(1, len(releases) + 1))
    assert [entry.state for entry in releases] == ["verified"] * wins
    assert all(after.previous_version == before.version for before, after in itertools.pairwise(releases))
    case.run(_agree_after_a_race)


def _rounds(ledger: Ledger, client: MlflowClient) -> int:
    wins = 0
    for _ in range(2):
        current = ledger.releases.current("flights")
        version = 2 if current is not None and current.version == 1 else 1
        expected = current.seq if current else None
        try:
            release(ledger, client, "flights", version, expected_previous=expected, reason="", actor="gate")
        except EverfitError:
            continue
        wins += 1
    return wins


def _agree_after_a_race(ledger: Ledger, client: MlflowClient) -> None:
    current, champion = ledger.releases.current("flights"), model_registry.champion(client, "flights")
    assert current is not None
    assert champion is not None
    assert (current.version, current.run_id) == (champion.version, champion.run_id)
    assert reconcile(ledger, client, "flights") == []


# --- The same on PostgreSQL -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "count"),
    [
        ("promotion", 4),
        pytest.param("promotion", 10, marks=pytest.mark.long),
        pytest.param("rollback", 3, marks=pytest.mark.long),
    ],
)
def test_killed_anywhere_on_postgresql(
    scenario: str, count: int, postgres: Callable[[], str], flights_registry: Any, fast_path: Path
) -> None:
    numbers = itertools.count()

    def make() -> Case:
        folder = fast_path / f"case-{next(numbers)}"
        folder.mkdir()
        flights_registry.copy(folder)
        case = Case(folder, postgres())
        assert case.run(*SCENARIOS[scenario][0]) == 0
        return case

    assert crash(make, scenario, count) == count
