"""Whether the workers of a Dask scheduler can do the work of this process: their versions, and what they reach."""

import platform
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from glob import glob
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from everfit.blocks.errors import WorkersError
from everfit.blocks.sources import FilesSource
from everfit.blocks.spec import ModelSpec
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from distributed import Client

_EVERFIT = "everfit"
_SECONDS = 10.0


def check_workers(
    client: "Client", folders: Sequence[str] = (), files: Sequence[str] = (), servers: Sequence[str] = ()
) -> None:
    """Refuse workers that could not do the work; workers that come later are not looked at, nor those that go.

    Args:
        client: Client of the scheduler.
        folders: Folders, or `s3://bucket/prefix`, that this process and all workers must reach as the same. A file is
            written to each for a moment.
        files: Files that all workers must see.
        servers: Addresses, `http://…` or `https://…`, that all workers must reach.

    Raises:
        WorkersError: A worker has no everfit, another version of it or of Python, or lacks a folder, file or server.
    """
    _check_versions(client)
    with _marked(folders) as markers:
        found: dict[str, list[str] | Exception] = client.run(
            what_is_missing, markers, list(files), list(servers), on_error="return"
        )
    for worker, missing in sorted(found.items()):
        if isinstance(missing, OSError) or not missing:
            continue  # a worker that is gone meanwhile has nothing to do
        if isinstance(missing, Exception):
            raise missing
        place, reason = missing
        what = (
            "give an address that all workers reach"
            if place in servers
            else "mount it there under the same path on all workers, give them the credentials of this process"
        )
        raise WorkersError(
            f"the Dask worker {worker} does not reach {place!r}: {reason}; {what}, or unset EVERFIT_TASK_RUNNER"
        )


def what_is_missing(markers: list[tuple[str, str]], files: list[str], servers: Sequence[str] = ()) -> list[str]:
    """Return the first folder, file or server that this process does not reach, and why; empty if there is none.

    Args:
        markers: Folders, each with a file that another process has written to it.
        files: Further files.
        servers: Addresses of servers.
    """
    for folder, marker in markers:
        try:
            there = Workspace(folder).exists(marker)
        except Exception as error:  # noqa: BLE001 - a store may refuse in any way
            return [folder, f"{type(error).__name__}: {error}"]
        if not there:
            local = "://" not in folder and not Path(folder).is_dir()
            return [folder, "it has no such folder" if local else "it sees another folder under this path"]
    for path in files:
        try:
            there = Path(path).exists()
        except OSError as error:  # it may not look there; to `check_workers` an error of this kind is a lost worker
            return [path, f"{type(error).__name__}: {error}"]
        if not there:
            return [path, "it has no such file"]
    for address in servers:
        try:
            httpx.get(address, timeout=_SECONDS, verify=False)  # noqa: S501 - whether it answers, and nothing else
        except httpx.TransportError as error:
            return [address, f"{type(error).__name__}: {error}"]
    return []


def files_of(spec: ModelSpec) -> list[str]:
    """Return a file of the source by which a worker shows that it reaches it; empty if it isn't a local file."""
    source = spec.source
    if not isinstance(source, FilesSource) or "://" in source.path:
        return []
    found = glob(source.path, recursive=True)  # noqa: PTH207 - the pattern may be absolute
    return [str(Path(path).absolute()) for path in sorted(found)[:1]]


@contextmanager
def _marked(folders: Sequence[str]) -> Iterator[list[tuple[str, str]]]:
    """Write a file to each folder, and delete it at the end."""
    name, markers = f".reached-{uuid.uuid4().hex}", list[tuple[str, str]]()
    try:
        for folder in folders:
            workspace = Workspace(folder)
            markers.append((workspace.uri, workspace.file(name)))
            workspace.write(markers[-1][1], b"")
        yield markers
    finally:
        for folder, marker in markers:
            Workspace(folder).delete(marker)


def _check_versions(client: "Client") -> None:
    """Compare versions by the scheduler's own messages, since other Pythons can't read a function of this one."""
    found: Any = client.get_versions(packages=[_EVERFIT])
    workers = found["workers"]
    own, python = version(_EVERFIT), ".".join(platform.python_version_tuple()[:2])
    for worker, known in sorted(workers.items()):
        packages = known["packages"]
        theirs = ".".join(packages["python"].split(".")[:2])
        if theirs != python:
            raise WorkersError(
                f"the Dask worker {worker} runs Python {theirs}, and this process Python {python}; start it with the "
                "same"
            )
        if packages.get(_EVERFIT) != own:
            has = f"everfit {packages[_EVERFIT]}" if packages.get(_EVERFIT) else "no everfit"
            raise WorkersError(
                f"the Dask worker {worker} has {has}, and this process everfit {own}; install the same there: pip "
                f"install 'everfit[dask]=={own}'"
            )
