"""Run schedules of the simulated world in which services spool and drain predictions, all at once.

The segments and the log are real files. The places at which a process may go on, die or get an error are around each
write to a segment, around each read and commit of the log, and between the two.

The invariants: each prediction that was answered is in the log, exactly once; one that was refused is not in it.
"""

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pyarrow.parquet as pq
from deltalake import DeltaTable
from support.spools import KINDS, batch, drain_of

from campaign.simulated_ledger import SimulatedStore
from campaign.simulation import Process, World
from campaign.tally import Tally
from everfit.infra.serving import drain as drain_module
from everfit.infra.serving import spool as spool_module
from everfit.infra.serving.spool import Spool, SpoolError
from everfit.tasks.ledger.store import _engine, _read_url
from everfit.tasks.predictions import prediction_log
from everfit.tasks.storage.tables import Table

FOUND = (8152547,)
"""Seeds that once broke an invariant; each run of the simulation replays them."""


def run_spool_schedules(folder: Path, seeds: Iterable[int]) -> Tally:
    """Run the schedules of some seeds.

    Args:
        folder: Empty folder, in memory if possible.
        seeds: The seeds.
    """
    tally, worlds = Tally(), list[World]()
    store = SimulatedStore(_engine(_read_url(f"sqlite:///{folder / 'unused.db'}")))
    with _simulated(lambda: worlds[-1]):
        for seed in seeds:
            worlds[:] = [World(seed, store)]
            place = folder / f"schedule-{seed}"
            tally.done["answered predictions"] += _Schedule(worlds[0], place).run()
            shutil.rmtree(place, ignore_errors=True)
            tally.done["spool schedules"] += 1
            for name, happened in worlds[0].counts.items():
                tally.done[name] += happened
            tally.broken += [f"spool schedule {seed}: {problem}" for problem in worlds[0].problems]
    return tally


class _Schedule:
    """What happens in one world."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.log = world, folder / "predictions"
        self.folder, self.places = folder, [folder / "spool-0"]
        self.answered: list[str] = []
        self.refused: list[str] = []
        self._numbers = itertools.count(1)

    def run(self) -> int:
        """Start services, let everything end, drain what is left and look at the log; return the answers' number."""
        world = self.world
        self.folder.mkdir()
        world.restart = self._restart
        for _ in range(world.chance.randint(1, 3)):
            self._spawn()
        at = world.chance.uniform(0, 6)
        for number in range(1, world.chance.choice([1, 1, 3, 4])):
            world.spawn("copy", lambda number=number: self._copy(number, at + 0.3 * number))  # type: ignore[misc]
        world.run()
        world.faults = False
        for place in self.places:
            world.spawn("last drain", lambda place=place: self._drain_last(place))  # type: ignore[misc]
            world.run()
        self._check()
        return len(self.answered)

    def _spawn(self) -> None:
        place = self.world.chance.choice(self.places)
        self.world.spawn(f"service {next(self._numbers)}", lambda: self._serve(place))

    def _restart(self, process: Process) -> None:
        if process.name.startswith("service") and self.world.chance.random() < 0.7:
            self._spawn()

    def _serve(self, place: Path) -> None:
        world, chance = self.world, self.world.chance
        with _claimed(place, segment_bytes=1_500) as spool:
            drain, over, pause = drain_of(spool, Table(str(self.log))), [False], chance.choice([0, 3, 10])

            def keep_draining() -> None:
                while not over[0]:
                    drain.drain()
                    world.sleep(chance.uniform(0, pause))

            thread = world.start_thread(keep_draining)
            for _ in range(chance.randint(1, 6)):
                world.sleep(chance.uniform(0, 2))
                rows = batch(next(self._numbers) * 1_000, chance.randint(1, 5))
                try:
                    spool.append(KINDS, rows)
                except SpoolError:
                    self.refused += rows["_prediction_id"]
                else:
                    self.answered += rows["_prediction_id"]
            over[0] = True
            while not thread.coroutine.dead:
                world.sleep(0.1)
            if chance.random() < 0.5:
                drain.drain()

    def _copy(self, number: int, at: float) -> None:
        """Copy a folder while it is in use, as a backup does, and let a service start on the copy."""
        self.world.sleep(at)
        place, copy = self.places[0], self.folder / f"spool-{number}"
        # A segment was drained meanwhile, or the first service has not made its folder yet.
        with suppress(shutil.Error, FileNotFoundError):
            shutil.copytree(place, copy)
        self.places.append(copy)
        self.world.spawn(f"service {next(self._numbers)}", lambda: self._serve(copy))

    def _drain_last(self, place: Path) -> None:
        if not place.exists():
            return
        with _claimed(place) as spool:
            drain = drain_of(spool, Table(str(self.log)))
            for _ in range(2):
                drain.drain()
            if drain.state.error or drain.state.set_aside:
                self.world.problems.append(f"{place.name} is not drained: {drain.state}")

    def _check(self) -> None:
        files = DeltaTable(str(self.log)).file_uris() if self.log.exists() else []
        logged = Counter(one for file in files for one in pq.read_table(file)["_prediction_id"].to_pylist())
        for problem, ids in (
            ("answered predictions are not in the log", set(self.answered) - logged.keys()),
            ("refused predictions are in the log", logged.keys() & set(self.refused)),
            ("predictions are in the log twice", {name for name, count in logged.items() if count > 1}),
        ):
            if ids:
                self.world.problems.append(f"{len(ids)} {problem}, such as {min(ids)}")


@contextmanager
def _claimed(place: Path, **settings: Any) -> Iterator[Spool]:
    """Hold a spool; a killed process leaves it as it is, without its lock."""
    spool = Spool.claim(place, **settings)
    try:
        yield spool
    except BaseException:
        if spool._descriptor >= 0:
            os.close(spool._descriptor)
        os.close(spool._guard)
        raise
    spool.close()


class _Lock:
    """A lock of `threading` in the simulated world."""

    def __init__(self, world: World) -> None:
        self._world, self._held = world, False

    def __enter__(self) -> None:
        while self._held:
            self._world.sleep(0.001)
        self._held = True

    def __exit__(self, *_: object) -> None:
        self._held = False


class _System:
    """The functions of `os` for a spool, of which some have places."""

    def __init__(self, current: Callable[[], World]) -> None:
        self._current = current

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, descriptor: int, content: bytes) -> int:
        """Write all, or a part of it on a full disk."""
        self._current().before(_full)
        if self._current().task is not None and self._current().happens("failed operations"):
            return os.write(descriptor, content[: len(content) // 2])
        written = os.write(descriptor, content)
        self._current().after()
        return written

    def fdatasync(self, _: int) -> None:
        """Fail at times, as a broken disk does."""
        self._current().before(_full)
        self._current().after()


def _full() -> Exception:
    return OSError(28, "No space left on device")


def _cut() -> Exception:
    return OSError(5, "the log's store does not answer")


@contextmanager
def _simulated(current: Callable[[], World]) -> Iterator[None]:
    """Put places into the code of spool and drain."""
    opened = prediction_log._opened

    def open_and_pause(*given: Any) -> Any:
        log = opened(*given)
        current().after()  # another process may commit between the reading and the writing of this one
        return log

    def with_places(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            current().before(_cut)
            result = function(*given)
            current().after(_cut)
            return result

        return call

    log = SimpleNamespace(
        with_keys=prediction_log.with_keys,
        **{name: with_places(getattr(prediction_log, name)) for name in ("last_append", "append", "append_missing")},
    )
    replaced: list[tuple[Any, str, Any]] = [
        (prediction_log, "_opened", open_and_pause),
        (drain_module, "prediction_log", log),
        (spool_module, "os", _System(current)),
        (spool_module, "threading", SimpleNamespace(Lock=lambda: _Lock(current()))),
    ]
    with ExitStack() as stack:
        for place, name, value in replaced:
            stack.enter_context(mock.patch.object(place, name, value))
        yield
