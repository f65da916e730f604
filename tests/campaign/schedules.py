"""Run schedules of the simulated world: turns are requested, admitted and run, released and rolled back, all at once.

The invariants: once the world is quiet, one reconciling makes the releases and the champion alias agree; numbers of
releases have no gaps; a turn promotes once at most; what a command reported as done is on record; and nothing raises
an error that is not everfit's. The ledger's file is read directly.
"""

import itertools
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from unittest import mock

from campaign.simulated_ledger import opened_once
from campaign.simulated_processes import simulated
from campaign.simulation import START, Process, World
from campaign.tally import Tally
from everfit.blocks.errors import EverfitError
from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.records import Turn
from everfit.tasks.monitoring.triage_history import past_turn
from everfit.tasks.registry import model_files
from everfit.tasks.release.release import reconcile, release, rollback
from everfit.tasks.triage.admission import Admission
from everfit.tasks.triage.event_requests import EventRequest, admit_event

_MODEL = "model"
_POLICY = RetrainingPolicy(cooldown=timedelta(days=1))
_VERSIONS = 4
FOUND = (57, 2053)
"""Seeds that once broke an invariant; each run of the simulation replays them.

- 57: a release was undone by the process that took its lease over, and then its own late request set the alias.
- 2053: the late request arrived while another process finished the release, which took the alias for moved by hand.
"""
_REFUSALS = (
    "did not answer",
    "does not answer",
    "was cut after the commit",
    "is busy",
    "is no longer held",
    "was lost: this process sent no heartbeat",
    "lost the race",
    "is unfinished",
    "is the champion of",
    "had no champion before",
    "has no champion to roll back",
    "is not the release to be rolled back",
    "was moved from version",
    "was released but is not served",
    "it is not served",
)
"""What may be said to a command that is not carried out; any other error is a finding."""


def run_schedules(folder: Path, seeds: Iterable[int]) -> Tally:
    """Run the schedules of some seeds.

    Args:
        folder: Empty folder, in memory if possible.
        seeds: The seeds.
    """
    tally, template, worlds = Tally(), folder / "template.db", list[World]()
    Ledger.open(f"sqlite:///{template}")
    with closing(sqlite3.connect(template)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=MEMORY")  # no test of SQLite's own durability
    path = folder / "ledger.db"
    shutil.copyfile(template, path)
    store = opened_once(path)
    with simulated(lambda: worlds[-1]), mock.patch.object(model_files, "probe"):
        for seed in seeds:
            store.empty()
            worlds[:] = [World(seed, store)]
            _Schedule(worlds[0], path).run()
            tally.done["schedules"] += 1
            for name, happened in worlds[0].counts.items():
                tally.done[name] += happened
            tally.broken += [f"schedule {seed}: {problem}" for problem in worlds[0].problems]
    return tally


class _Schedule:
    """What happens in one world."""

    def __init__(self, world: World, path: Path) -> None:
        self.world, self.path, self.client = world, path, world.registry
        self.ledger = world.ledger
        self.released: list[tuple[int, int]] = []
        self.finished: list[str] = []
        self.decided: set[tuple[str, int | None]] = set()
        self.moved = False
        self._numbers = itertools.count(1)

    def run(self) -> None:
        """Start processes, let everything end, and look at what is left."""
        world, chance = self.world, self.world.chance
        for version in range(1, _VERSIONS + 1):
            world.registry.add(version)
        world.restart = self._restart
        world.spawn("first release", lambda: self._accepting(self._release_first))
        for _ in range(chance.randint(2, 6)):
            self._spawn(chance.choice(["train", "train", "rollback", "rollback", "reconcile", "move alias"]))
        world.run()
        self._check_at_any_time()
        world.faults = False
        world.spawn("last reconciling", self._reconcile_in_the_end)
        world.run()
        self._check()

    def _spawn(self, command: str) -> None:
        chance = self.world.chance
        window, delay = chance.randint(1, 3), chance.choice([0.0, 0.0, 1.0, 30.0, 70.0])
        act = {
            "train": lambda: self._train(window),
            "rollback": self._roll_back,
            "reconcile": lambda: reconcile(self.ledger, self.client, _MODEL),  # type: ignore[arg-type]
            "move alias": self._move_alias,
        }[command]

        def run() -> None:
            self.world.sleep(delay)
            self._accepting(act)

        self.world.spawn(f"{command} {next(self._numbers)} {window}", run)

    def _restart(self, process: Process) -> None:
        """Run most commands again that were killed, as a person or a scheduler would."""
        command = process.name.rpartition(" ")[0].rpartition(" ")[0]
        if command in {"train", "rollback", "reconcile"} and self.world.chance.random() < 0.7:
            self._spawn(command)

    def _accepting(self, act: Callable[[], object]) -> None:
        """Run a command that may be refused, for one of the known reasons."""
        try:
            act()
        except EverfitError as error:
            if not any(reason in str(error) for reason in _REFUSALS):
                self._broke(f"{self.world.process.name} ended with {type(error).__name__}: {error}")

    def _release_first(self) -> None:
        made = release(
            self.ledger,
            self.client,  # type: ignore[arg-type]
            _MODEL,
            1,
            expected_previous=None,
            reason="first",
            actor="gate",
        )
        self.released.append((made.seq, made.version))

    def _train(self, window: int) -> None:
        until = START + timedelta(days=window)
        trigger = Trigger(kind="event", reason=f"window {window}")

        def may_start(turns: list[Turn]) -> Admission:
            others = [turn for turn in turns if turn.id != trigger.turn_id(_MODEL, until)]
            request = EventRequest(model=_MODEL, kind="event", until=until)
            return admit_event(request, [past_turn(turn, None) for turn in others], until, _POLICY)

        asked = self.ledger.turns.request(_MODEL, trigger, Window(until=until), may_start=may_start)  # type: ignore[arg-type]
        if asked.turn_id is not None:
            self._run_turn(trigger, Window(until=until), window + 1)

    def _run_turn(self, trigger: Trigger, window: Window, version: int) -> None:
        reconcile(self.ledger, self.client, _MODEL)  # type: ignore[arg-type]
        with self.ledger.turns.take(_MODEL, trigger, window, wait=timedelta(minutes=10)) as turn:
            if turn.settled:
                return
            current = self.ledger.releases.current(_MODEL)
            self.world.sleep(self.world.chance.choice([0.0, 10.0, 100.0]))  # training
            self.decided.add((turn.id, current.version if current else None))
            made = self.ledger.releases.of_turn(turn.id) or release(
                self.ledger,
                self.client,  # type: ignore[arg-type]
                _MODEL,
                version,
                expected_previous=current.seq if current else None,
                reason="better",
                actor="gate",
                turn=turn,
            )
            self.ledger.turns.finish(turn, state="Promoted", verdict="promote")
        self.released.append((made.seq, made.version))
        self.finished.append(turn.id)

    def _roll_back(self) -> None:
        made = rollback(self.ledger, self.client, _MODEL, reason="complaints", actor="ann")  # type: ignore[arg-type]
        self.released.append((made.seq, made.version))

    def _move_alias(self) -> None:
        self.moved = True
        self.client.aliases["champion"] = self.world.chance.randint(1, _VERSIONS)

    def _reconcile_in_the_end(self) -> None:
        for _ in range(2):
            done = reconcile(self.ledger, self.client, _MODEL)  # type: ignore[arg-type]
        if done:
            self.world.problems.append(f"a second reconciling still changes something: {done}")

    def _rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query).fetchall()

    def _broke(self, problem: str) -> None:
        self.world.problems.append(problem)

    def _check_at_any_time(self) -> None:
        if len(open_ones := self._rows("SELECT seq FROM releases WHERE state = 'intent'")) > 1:
            self._broke(f"releases {open_ones} are under way at once")

    def _check(self) -> None:
        releases = self._rows("SELECT seq, version, state, kind, turn_id, previous_version FROM releases ORDER BY seq")
        if [row[0] for row in releases] != list(range(1, len(releases) + 1)):
            self._broke(f"the releases are numbered {[row[0] for row in releases]}")
        if unsettled := [row for row in releases if row[2] not in {"verified", "undone"}]:
            self._broke(f"releases are unfinished in the end: {unsettled}")
        standing = [row for row in releases if row[2] == "verified"]
        champion = self.client.aliases.get("champion")
        if (standing[-1][1] if standing else None) != champion:
            self._broke(f"the champion is {champion!r}, and the ledger has {releases}")
        if not self.moved and (outside := [row for row in releases if row[3] == "outside"]):
            self._broke(f"{outside} are taken for somebody else's, and nobody moved the alias: {releases}")
        promoted = [row[4] for row in releases if row[3] == "promotion" and row[4] and row[2] != "undone"]
        if len(promoted) != len(set(promoted)):
            self._broke(f"a turn promoted twice: {releases}")
        if stale := [row for row in releases if row[4] and (row[4], row[5]) not in self.decided]:
            self._broke(f"{stale} replaced another champion than the one that they were compared with: {releases}")
        known = {(row[0], row[1]) for row in releases}
        if lost := [one for one in self.released if one not in known]:
            self._broke(f"releases {lost} were reported and are not on record: {releases}")
        states = dict(self._rows("SELECT id, state FROM turns"))
        if lost_turns := [turn for turn in self.finished if states.get(turn) != "Promoted"]:
            self._broke(f"turns {lost_turns} were reported as promoted and are {states}")
