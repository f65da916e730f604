"""Killed at any statement, a release leaves one champion that ledger and registry agree on.

A child process runs a release under a trace that counts the lines of everfit's own code and of the registry's, and
kills the process with SIGKILL before the n-th. Another then reconciles, as the next everfit command would, and
checks what is left. Children are forked from the warm test process: starting Python for each would take minutes.
"""

import gc
import itertools
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import pytest
from mlflow import MlflowClient

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Ledger
from everfit.tasks.registry import model_registry
from everfit.tasks.release.release import reconcile, release, rollback

MARCH = Window(until=datetime(2013, 3, 1, tzinfo=UTC))
TRACED = tuple(
    f"{os.sep}{name}"
    for name in (
        "tasks/release/release.py",
        "tasks/release/release_protocol.py",
        "tasks/registry/model_registry.py",
        "tasks/release/serving_verification.py",
        "tasks/ledger/releases.py",
        "tasks/ledger/leases.py",
        "tasks/ledger/store.py",
        "mlflow/store/model_registry/sqlalchemy_store.py",
    )
)

Act = Callable[[Ledger, MlflowClient], object]


class Case:
    """A ledger and a registry, before something is done to them."""

    def __init__(self, folder: Path, ledger_url: str) -> None:
        self.folder, self.ledger_url = folder, ledger_url
        self.tracking_uri = f"sqlite:///{folder / 'mlflow.db'}"

    def run(self, *acts: Act, kill_at: int | None = None) -> int:
        """Act in a child process, killed before its n-th line; gives the exit code, negative for a signal."""
        log = self.folder / "log"
        pid = os.fork()
        if pid == 0:
            code = 1
            gc.disable()  # A collection would copy the memory that is shared with the parent.
            try:
                ledger, client = Ledger.open(self.ledger_url), MlflowClient(tracking_uri=self.tracking_uri)
                model_registry.champion(client, "flights")  # The registry's own start is not what is looked at.
                lines = _trace(kill_at)
                for act in acts:
                    act(ledger, client)
                sys.settrace(None)
                (self.folder / "lines").write_text(str(next(lines)))
                code = 0
            except BaseException:  # noqa: BLE001 - whatever it is, the parent is to hear of it and nobody else
                sys.settrace(None)
                log.write_text(traceback.format_exc())
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code in {0, -signal.SIGKILL}, log.read_text()
        return code

    def lines(self) -> int:
        """How many lines the last act that came to its end has run."""
        return int((self.folder / "lines").read_text())


def _trace(kill_at: int | None) -> "itertools.count[int]":
    lines = itertools.count()

    def on_line(frame: FrameType, event: str, _: object) -> Any:
        if event == "line" and next(lines) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    def on_call(frame: FrameType, _event: str, _arg: object) -> Any:
        return on_line if frame.f_code.co_filename.endswith(TRACED) else None

    sys.settrace(on_call)
    return lines


# --- What is done -----------------------------------------------------------------------------------------------------


def _first(ledger: Ledger, client: MlflowClient) -> None:
    release(ledger, client, "flights", 1, expected_previous=None, reason="first", actor="gate")


def _promote(ledger: Ledger, client: MlflowClient) -> None:
    with ledger.turns.take("flights", Trigger(), MARCH) as turn:
        made = release(ledger, client, "flights", 2, expected_previous=1, reason="better", actor="gate", turn=turn)
        ledger.turns.finish(turn, state="Promoted", verdict="promote", record=made)


def _promote_next(ledger: Ledger, client: MlflowClient) -> None:
    current = ledger.releases.current("flights")
    release(ledger, client, "flights", 3, expected_previous=current.seq if current else None, reason="", actor="gate")


def _roll_back(ledger: Ledger, client: MlflowClient) -> None:
    rollback(ledger, client, "flights", reason="complaints", actor="ann")


def _reconcile(ledger: Ledger, client: MlflowClient) -> None:
    reconcile(ledger, client, "flights")


def _move_alias(ledger: Ledger, client: MlflowClient) -> None:
    client.set_registered_model_alias("flights", "champion", "2")


def _delete_alias(ledger: Ledger, client: MlflowClient) -> None:
    client.delete_registered_model_alias("flights", "champion")


def _challenge(ledger: Ledger, client: MlflowClient) -> None:
    client.set_registered_model_alias("flights", "challenger", "2")


def _agree(*allowed: int | None, outside: frozenset[int] = frozenset()) -> Act:
    def check(ledger: Ledger, client: MlflowClient) -> None:
        releases, current = ledger.releases.of("flights"), ledger.releases.current("flights")
        champion, challenger = model_registry.champion(client, "flights"), model_registry.challenger(client, "flights")
        assert [entry.seq for entry in releases] == list(range(1, len(releases) + 1))
        assert {entry.state for entry in releases} <= {"verified", "undone"}, releases
        assert (champion.version if champion else None) in allowed
        assert (champion is None) == (current is None)
        if champion is not None and current is not None:
            assert (current.version, current.run_id, current.snapshot_digest) == (
                champion.version,
                champion.run_id,
                champion.snapshot_digest,
            )
            assert challenger is None or challenger.version != champion.version
        by_hand = {entry.version for entry in releases if entry.kind == "outside"}
        assert by_hand <= outside, "a release that was broken off is taken for somebody else's"
        promoted = [entry for entry in releases if entry.version == 2 and entry.state == "verified"]
        assert len(promoted) <= 1
        assert reconcile(ledger, client, "flights") == []

    return check


SCENARIOS: dict[str, tuple[list[Act], Act, tuple[int | None, ...], int]] = {
    "first": ([], _first, (None, 1), 6),
    "promotion": ([_first, _challenge], _promote, (1, 2), 32),
    "rollback": ([_first, _promote], _roll_back, (1, 2), 8),
    "moved": ([_first, _move_alias], _reconcile, (2,), 5),
    "deleted": ([_first, _delete_alias], _reconcile, (1,), 6),
}
"""What was done before, what is killed, which champions may be left, and at how many places it is killed."""


def _points(lines: int, count: int) -> list[int]:
    """So many places, evenly from the first line to the last."""
    return sorted({round(number * (lines - 1) / (count - 1)) for number in range(count)})


def _crash(make: Callable[[], Case], scenario: str, count: int) -> int:
    _, act, allowed, _ = SCENARIOS[scenario]
    outside = frozenset({1, 2} if act is _reconcile else ())
    whole = make()
    assert whole.run(act) == 0
    points = _points(whole.lines(), count)
    for point in points:
        case = make()
        assert case.run(act, kill_at=point) == -signal.SIGKILL, f"line {point} of {whole.lines()}"
        case.run(_reconcile, _agree(*allowed, outside=outside), _promote_next, _agree(3, outside=outside))
    return len(points)


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
    for act in (_first, _challenge, _promote, _roll_back, _delete_alias, _reconcile, _move_alias, _reconcile):
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


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_anywhere_it_leaves_one_champion_that_all_agree_on(scenario: str, make_case: Any) -> None:
    count = SCENARIOS[scenario][3]

    assert _crash(make_case(scenario), scenario, count) >= count - 1


def test_a_reconciler_that_is_killed_is_reconciled(make_case: Any) -> None:
    make = make_case("promotion")
    whole = make()
    whole.run(_promote)
    for point in _points(whole.lines(), 5)[1:-1]:
        for second in (40, 300):
            case = make()
            case.run(_promote, kill_at=point)
            case.run(_reconcile, kill_at=second)
            case.run(_reconcile, _agree(1, 2))


def test_a_turn_that_was_killed_ends_as_if_it_had_not_been(make_case: Any) -> None:
    make = make_case("promotion")
    whole = make()
    whole.run(_promote)
    for point in _points(whole.lines(), 8):
        case = make()
        case.run(_promote, kill_at=point)
        case.run(_promote_again, _agree(2))


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


@pytest.mark.parametrize(("scenario", "count"), [("promotion", 10), ("rollback", 3)])
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

    assert _crash(make, scenario, count) == count
