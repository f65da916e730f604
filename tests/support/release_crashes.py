"""Releases and rollbacks that are killed before a line of theirs."""

import gc
import itertools
import os
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from mlflow import MlflowClient

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

    def run(self, *acts: Act, kill_at: int | None = None, counted: bool = False) -> int:
        """Act in a child process, killed before its n-th line; gives the exit code, negative for a signal.

        Args:
            *acts: What it does.
            kill_at: The line; None to let it live.
            counted: Whether `lines` is asked afterwards. To count takes several times as long as to act.
        """
        log = self.folder / "log"
        pid = os.fork()
        if pid == 0:
            code = 1
            gc.disable()  # A collection would copy the memory that is shared with the parent.
            try:
                ledger, client = Ledger.open(self.ledger_url), MlflowClient(tracking_uri=self.tracking_uri)
                model_registry.champion(client, "flights")  # The registry's own start is not what is looked at.
                if counted or kill_at is not None:
                    lines = _trace(kill_at)
                for act in acts:
                    act(ledger, client)
                sys.settrace(None)
                if counted:
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
        """How many lines the counted act has run."""
        return int((self.folder / "lines").read_text())


def _trace(kill_at: int | None) -> "itertools.count[int]":
    lines = itertools.count()
    traced: dict[str, bool] = {}

    def on_line(frame: FrameType, event: str, _: object) -> Any:
        if event == "line" and next(lines) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    def on_call(frame: FrameType, _event: str, _arg: object) -> Any:
        name = frame.f_code.co_filename
        if name not in traced:
            traced[name] = name.endswith(TRACED)
        return on_line if traced[name] else None

    sys.settrace(on_call)
    return lines


def release_first(ledger: Ledger, client: MlflowClient) -> None:
    release(ledger, client, "flights", 1, expected_previous=None, reason="first", actor="gate")


def promote(ledger: Ledger, client: MlflowClient) -> None:
    with ledger.turns.take("flights", Trigger(), MARCH) as turn:
        made = release(ledger, client, "flights", 2, expected_previous=1, reason="better", actor="gate", turn=turn)
        ledger.turns.finish(turn, state="Promoted", verdict="promote", record=made)


def promote_next(ledger: Ledger, client: MlflowClient) -> None:
    current = ledger.releases.current("flights")
    release(ledger, client, "flights", 3, expected_previous=current.seq if current else None, reason="", actor="gate")


def roll_back(ledger: Ledger, client: MlflowClient) -> None:
    rollback(ledger, client, "flights", reason="complaints", actor="ann")


def reconcile_all(ledger: Ledger, client: MlflowClient) -> None:
    reconcile(ledger, client, "flights")


def move_alias(ledger: Ledger, client: MlflowClient) -> None:
    client.set_registered_model_alias("flights", "champion", "2")


def delete_alias(ledger: Ledger, client: MlflowClient) -> None:
    client.delete_registered_model_alias("flights", "champion")


def challenge(ledger: Ledger, client: MlflowClient) -> None:
    client.set_registered_model_alias("flights", "challenger", "2")


def agree(*allowed: int | None, outside: frozenset[int] = frozenset()) -> Act:
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


SCENARIOS: dict[str, tuple[list[Act], Act, tuple[int | None, ...], int, int]] = {
    "first": ([], release_first, (None, 1), 3, 6),
    "promotion": ([release_first, challenge], promote, (1, 2), 12, 32),
    "rollback": ([release_first, promote], roll_back, (1, 2), 4, 8),
    "moved": ([release_first, move_alias], reconcile_all, (2,), 3, 5),
    "deleted": ([release_first, delete_alias], reconcile_all, (1,), 3, 6),
}
"""What was done before, what is killed, which champions may be left, and at how many places it is killed: in each run,
and in the nightly one."""


def points(lines: int, count: int) -> list[int]:
    """So many places, evenly from the first line to the last."""
    return sorted({round(number * (lines - 1) / (count - 1)) for number in range(count)})


def crash(make: Callable[[], Case], scenario: str, count: int) -> int:
    _, act, allowed, *_ = SCENARIOS[scenario]
    outside = frozenset({1, 2} if act is reconcile_all else ())
    whole = make()
    assert whole.run(act, counted=True) == 0
    places = points(whole.lines(), count)
    for point in places:
        case = make()
        assert case.run(act, kill_at=point) == -signal.SIGKILL, f"line {point} of {whole.lines()}"
        case.run(reconcile_all, agree(*allowed, outside=outside), promote_next, agree(3, outside=outside))
    return len(places)
