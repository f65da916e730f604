"""The process that restarts the parts of a stack that end unexpectedly.

On a team's machines systemd, Docker or Kubernetes do this.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from everfit.deployments.server.processes import Process

_LOOKS_EVERY = 0.5
_LONGEST_PAUSE = 60.0


def command(parts: Mapping[str, tuple[Sequence[str], int | None]], folder: Path) -> list[str]:
    """Return the command of the process that restarts parts.

    Args:
        parts: The command and port of each part, by name.
        folder: The folder of their files.
    """
    content = {name: {"command": list(given), "port": port} for name, (given, port) in parts.items()}
    return [sys.executable, "-m", "everfit.deployments.server.keeper", str(folder), json.dumps(content)]


def keep(folder: Path, parts: Mapping[str, Mapping[str, object]]) -> None:
    """Restart parts until SIGTERM. The pause grows for a part that ends again and again."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    pauses, not_before = dict.fromkeys(parts, 1.0), dict.fromkeys(parts, 0.0)
    while not over.wait(_LOOKS_EVERY):
        for name, part in parts.items():
            process, now = Process(name, folder), time.monotonic()
            if process.pid is not None:
                if now > not_before[name] + _LONGEST_PAUSE:
                    pauses[name] = 1.0
                continue
            if now >= not_before[name]:
                given, port = part["command"], part["port"]
                assert isinstance(given, list)  # noqa: S101 - as `command` wrote it
                process.start(given, os.environ, port if isinstance(port, int) else None)
                not_before[name] = now + pauses[name]
                pauses[name] = min(2 * pauses[name], _LONGEST_PAUSE)


if __name__ == "__main__":
    keep(Path(sys.argv[1]), json.loads(sys.argv[2]))
