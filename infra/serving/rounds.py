"""Work that is repeated for each model, in a few threads for all of them.

A thread for each model and each kind of work would be hundreds in a service of fifty models, and nearly all would wait.
"""

import heapq
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)


@dataclass(order=True)
class Round:
    """One piece of work, which is repeated until it is ended.

    Attributes:
        due: When it runs next, on the clock of `time.monotonic`.
        is_ended: Whether no further run is to begin.
    """

    due: float
    _work: Callable[[], float] = field(compare=False)
    _leave: Callable[["Round"], None] = field(compare=False)
    _idle: threading.Event = field(compare=False, default_factory=threading.Event)
    is_ended: bool = field(compare=False, default=False)

    def end(self, timeout_s: float) -> bool:
        """Let no further run begin, and wait for the one that is under way; return whether that has ended."""
        self.is_ended = True
        self._leave(self)
        return self._idle.wait(timeout_s)

    def run(self) -> None:
        """Run once unless it was ended, and note when it is due again."""
        self._idle.clear()
        try:
            if not self.is_ended:  # looked at only now: whoever ends it waits for what has begun
                self.due = time.monotonic() + self._work()
        finally:
            self._idle.set()


class Rounds:
    """Repeats pieces of work, each at most once at a time, in at most some threads.

    Args:
        name: Name of the threads.
        threads: Number of threads; those that are not needed are not started, and end when no work is left.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        self._name, self._most = name, threads
        self._due: list[Round] = []
        self._idle = self._started = 0
        self._changed = threading.Condition()

    def begin(self, work: Callable[[], float]) -> Round:
        """Begin to repeat a piece of work.

        Args:
            work: Function that does it, and returns after how many seconds it is due again. It must not raise.
        """
        begun = Round(time.monotonic(), work, self._leave)
        begun._idle.set()  # noqa: SLF001 - its own, in the same module
        with self._changed:
            heapq.heappush(self._due, begun)
            self._start_thread_if_needed()
            self._changed.notify()
        return begun

    def _leave(self, ended: Round) -> None:
        with self._changed:
            self._due = [begun for begun in self._due if begun is not ended]
            heapq.heapify(self._due)
            self._changed.notify_all()

    def _start_thread_if_needed(self) -> None:
        if self._due and not self._idle and self._started < self._most:
            self._started += 1
            threading.Thread(target=self._run, name=f"{self._name}-{self._started}", daemon=True).start()

    def _run(self) -> None:
        while (begun := self._next()) is not None:
            try:
                begun.run()
            except Exception:  # what must not raise did, and the work of other models goes on
                logger.exception("a round of %s ended with an error", self._name)
                begun.due = time.monotonic() + 60.0
            with self._changed:
                if not begun.is_ended:  # whoever ended it since its run has not found it among those that are due
                    heapq.heappush(self._due, begun)
                    self._changed.notify()

    def _next(self) -> Round | None:
        """Wait until a piece of work is due, and take it; None if nothing waits, so that the thread ends."""
        with self._changed:
            while self._due:
                pause = self._due[0].due - time.monotonic()
                if pause <= 0:
                    taken = heapq.heappop(self._due)
                    self._start_thread_if_needed()  # this one may be busy for long
                    return taken
                self._idle += 1
                try:
                    self._changed.wait(pause)
                finally:
                    self._idle -= 1
            self._started -= 1
            return None
