"""Several hosts on this machine, each with a network, a /tmp and a memory file system of its own, joined by a bridge.

It takes Linux, `ip`, `unshare` and `nsenter`, and root or the right to make user namespaces. All must happen in a
process that `alone` has started: its namespaces, hosts and their processes end with it.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

_UNSHARE = [
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
]
_HIDDEN = ("/tmp", "/dev/shm")  # noqa: S108 - each host gets its own
_FIRST = 10
_LEFT_OUT = ("SSL_CERT_FILE", "PREFECT_HOME", "XDG_RUNTIME_DIR")
"""Variables that the tests lead into folders that hosts don't see."""
FOLDER = "/tmp/work"  # noqa: S108 - in the host's own /tmp
"""The working folder of each host, which no other host sees."""
SHARED = "/tmp/shared"  # noqa: S108
"""A folder that all hosts see, as if they mounted it from a file server."""


def why_not() -> str:
    """Why hosts can't be made here; empty if they can."""
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    tried = subprocess.run(
        [*_UNSHARE, "ip", "link", "add", "name", "bridge", "type", "bridge"], capture_output=True, check=False
    )
    return "" if tried.returncode == 0 else f"no namespaces: {tried.stderr.decode().strip()}"


def alone(command: Sequence[str]) -> list[str]:
    """The command that runs another one where hosts can be made."""
    return [*_UNSHARE, *command]


class Host:
    """A host, until the process that made it ends.

    Attributes:
        address: Its address, as other hosts reach it.
        pid: Id of a process in its namespaces, for `nsenter`.
    """

    def __init__(self, name: str, number: int, seen: Sequence[str], shared: Path) -> None:
        self.name, self.address, self._link = name, f"10.77.0.{_FIRST + number}", f"v{number}"
        setup = " && ".join(_views(seen, shared))
        holder = subprocess.Popen(
            [
                "unshare",
                "--mount",
                "--net",
                "--uts",
                "sh",
                "-c",
                f"hostname {name}; {setup} && echo up; exec sleep infinity",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n", f"{name} has no folders of its own"
        self.pid = holder.pid
        _ip(f"link add {self._link} type veth peer name eth0 netns {self.pid}")
        _ip(f"link set {self._link} master bridge up")
        inside = f"ip addr add {self.address}/24 dev eth0; ip link set eth0 up; ip link set lo up"
        self.run(["sh", "-c", f"{inside}; ip route add default via 10.77.0.1"], cwd="/").wait()

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        cwd: str = FOLDER,
        out: IO[Any] | int | None = None,
        err: IO[Any] | int | None = None,
    ) -> "subprocess.Popen[str]":
        """Start a command on the host, in its working folder."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--net", "--uts", f"--wdns={cwd}"]
        given = {"HOME": "/tmp/home", "TMPDIR": "/tmp", **(environment or {})}  # noqa: S108
        kept = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
        return subprocess.Popen([*enter, *command], env=kept | given, stdout=out, stderr=err, text=True)

    def cut(self) -> None:
        """Pull its cable: what is sent to it is lost without an error."""
        _ip(f"link set {self._link} down")

    def mend(self) -> None:
        _ip(f"link set {self._link} up")


class Hosts:
    """The hosts of a network.

    Args:
        names: Their names.
        seen: Folders below a hidden one that all hosts see, as if installed there, such as that of the sources.
        shared: The folder of this machine that hosts see as `SHARED`.
    """

    def __init__(self, names: Sequence[str], seen: Sequence[str], shared: Path) -> None:
        _ip("link add bridge type bridge")
        _ip("addr add 10.77.0.1/24 dev bridge")
        _ip("link set bridge up")
        _ip("link set lo up")
        self.by_name = {name: Host(name, number, seen, shared) for number, name in enumerate(names)}

    def __getitem__(self, name: str) -> Host:
        return self.by_name[name]


def _views(seen: Sequence[str], shared: Path) -> "list[str]":
    """The shell commands that give a host its folders: own ones, and those that it sees of this machine."""
    commands = ["mount --make-rprivate /", "mount -t tmpfs -o mode=755 own /mnt"]
    commands += [f"mkdir -p -m 1777 /mnt{hidden}" for hidden in _HIDDEN]
    for path in seen:
        if path.startswith(tuple(f"{hidden}/" for hidden in _HIDDEN)):
            quoted = shlex.quote(path)
            commands += [f"mkdir -p /mnt{quoted}", f"mount --rbind {quoted} /mnt{quoted}"]
    commands += [
        f"mkdir -p /mnt{SHARED} /mnt{FOLDER} /mnt/tmp/home",
        f"mount --rbind {shlex.quote(str(shared))} /mnt{SHARED}",
    ]
    return [*commands, *(f"mount --rbind /mnt{hidden} {hidden}" for hidden in _HIDDEN)]


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)
