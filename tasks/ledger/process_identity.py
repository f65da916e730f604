"""The identity of a process, so that others on the host can tell whether it still runs."""

import getpass
import os
import socket
import subprocess
from functools import cache
from pathlib import Path

from everfit.tasks.core.records import Record


class Holder(Record):
    """A process and the machine on which it runs."""

    name: str
    host: str
    pid: int
    process_started: str


def this_process(name: str | None = None) -> Holder:
    """Return this process as a holder; `name` is for people and defaults to the user."""
    pid = os.getpid()
    return Holder(
        name=f"{name or user_name()}@{socket.gethostname()} (pid {pid})",
        host=_host(),
        pid=pid,
        process_started=started_at(pid) or "",
    )


def is_here(host: str) -> bool:
    """Return whether this host, in its present boot, is the one of a holder."""
    return host == _host()


def is_dead(host: str, pid: int, process_started: str) -> bool:
    """Return whether a process is known to have ended; False for a process of another host."""
    if not is_here(host):
        return False
    started = started_at(pid)
    # The system reuses process numbers; the start time tells two processes apart.
    return started is None or bool(process_started and started != process_started)


def user_name() -> str:
    """Return the name of the process's user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # A container's user often has no name.
        return f"uid-{os.getuid()}"


@cache
def _host() -> str:
    """Return the machine, its boot and, in a container, its namespace of process numbers."""
    parts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        file = Path(path)
        try:
            parts.append(str(file.readlink()) if file.is_symlink() else file.read_text().strip())
        except OSError:
            continue  # Not Linux.
    return " ".join(parts)


def started_at(pid: int) -> str | None:
    """Return the start time of a process, in the system's own unit; None if it doesn't run."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name, in brackets, may hold anything; the state is the first field after it, the start the 20th.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return listed.stdout.strip() or None
