"""The processor time that a process has used since a moment."""

import os


class ProcessorClock:
    """Counts the processor time of this process and of its children that have ended, from its making on."""

    def __init__(self) -> None:
        self._process, self._began = os.getpid(), _used()

    def seconds(self) -> float | None:
        """Return the processor time since then; None in another process than the one that began to count."""
        return round(_used() - self._began, 1) if os.getpid() == self._process else None


def _used() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
