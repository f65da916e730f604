"""The folder of a backup: its files with their digests, and the manifest that is written last."""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Self

from pydantic import AwareDatetime, ValidationError

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.core.records import Record
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

FORMAT = 1
"""The form of backups that this everfit writes, and the newest that it can restore."""

_MANIFEST, _UNFINISHED = "backup.json", "unfinished"
_CHUNK = 8 * 2**20


class StoredFile(Record):
    """A file of a backup: its SHA-256 in hexadecimal digits, and its size in bytes."""

    sha256: str
    size: int


class Manifest(Record):
    """The contents of a backup.

    Attributes:
        format: The form of the backup.
        model: Name of the model.
        at: The time at which the ledger was read.
        everfit: Version of everfit that wrote it.
        ledger_revision: Newest migration of the ledger whose rows it has.
        workspace: Address of the workspace that was copied; rows of the ledger name files in it.
        counts: Number of rows, runs, versions and files, by what they are.
        missing: Sentences about what could not be copied.
        files: All files, by name.
    """

    format: int
    model: str
    at: AwareDatetime
    everfit: str
    ledger_revision: str
    workspace: str
    counts: dict[str, int]
    missing: tuple[str, ...]
    files: dict[str, StoredFile]


class ArchiveWriter:
    """A backup that is being written.

    Args:
        uri: A new folder, or `s3://bucket/prefix`.

    Raises:
        WorkspaceError: The folder has a backup, or other files.
    """

    def __init__(self, uri: str) -> None:
        self._place = Workspace(uri)
        self.uri = self._place.uri
        self.files: dict[str, StoredFile] = {}
        if self._place.exists(self._place.file(_MANIFEST)):
            raise WorkspaceError(f"{self.uri!r} has a backup already; name a new folder")
        unfinished = self._place.file(_UNFINISHED)
        if not self._place.exists(unfinished) and names_under(self._place.filesystem, self.uri):
            raise WorkspaceError(f"{self.uri!r} has other files; name a new folder")
        self._place.write(unfinished, b"The backup is being written, or was interrupted. Run it again.\n")

    def begin(self) -> None:
        """Forget the files that were added, because they are copied again."""
        self.files.clear()

    def add(self, name: str, content: bytes) -> None:
        """Add a file."""
        self._place.write(self._place.file(*name.split("/")), content)
        self.files[name] = StoredFile(sha256=hashlib.sha256(content).hexdigest(), size=len(content))

    def add_json(self, name: str, content: Any) -> None:
        """Add a file of JSON."""
        self.add(name, json.dumps(content, sort_keys=True, indent=1).encode())

    def add_copy(self, name: str, filesystem: "AbstractFileSystem", path: str) -> None:
        """Add a copy of a file.

        Raises:
            FileNotFoundError: There is no such file.
        """
        with filesystem.open(path, "rb") as source:
            digest, size = hashlib.sha256(), 0
            with self._place.writing(self._place.file(*name.split("/"))) as target:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    target.write(chunk)
        self.files[name] = StoredFile(sha256=digest.hexdigest(), size=size)

    def add_folder(self, name: str, folder: Path, *, without: frozenset[str] = frozenset()) -> int:
        """Add copies of all files of a local folder, except some of its top level; return their number."""
        import fsspec

        local, count = fsspec.filesystem("file"), 0
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder).as_posix()
            if path.is_file() and relative not in without:
                self.add_copy(f"{name}/{relative}", local, str(path))
                count += 1
        return count

    def finish(self, **facts: Any) -> Manifest:
        """Write the manifest, which makes the files a backup; delete what an interrupted try has left beside them."""
        manifest = Manifest(format=FORMAT, files=self.files, **facts)
        for name in names_under(self._place.filesystem, self.uri):
            if name not in self.files and name != _UNFINISHED:
                self._place.delete(self._place.file(*name.split("/")))
        self._place.write(self._place.file(_MANIFEST), manifest.canonical_json().encode())
        self._place.delete(self._place.file(_UNFINISHED))
        return manifest


class Archive:
    """A finished backup.

    Attributes:
        uri: Its folder.
        manifest: The list of its files.
    """

    def __init__(self, place: Workspace, manifest: Manifest) -> None:
        """Use `open` instead, which reads the manifest."""
        self._place, self.uri, self.manifest = place, place.uri, manifest

    @classmethod
    def open(cls, uri: str) -> Self:
        """Open a backup.

        Raises:
            WorkspaceError: There is none, it was not finished, or a newer everfit wrote it.
        """
        place = Workspace(uri)
        path = place.file(_MANIFEST)
        if not place.exists(path):
            state = "an unfinished backup" if place.exists(place.file(_UNFINISHED)) else "no backup"
            raise WorkspaceError(f"{place.uri!r} has {state}; give a folder that `everfit backup` has finished")
        try:
            content = json.loads(place.read(path))
            if int(content["format"]) > FORMAT:
                raise WorkspaceError(
                    f"the backup in {place.uri!r} has format {content['format']!r}, newer than this everfit knows "
                    f"({FORMAT}); upgrade everfit here"
                )
            manifest = Manifest.model_validate(content, extra="ignore")
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise WorkspaceError(f"{path!r} can't be read: {error}; use another backup") from error
        for name in manifest.files:
            parts = PurePosixPath(name).parts
            if not parts or name.startswith("/") or ".." in parts or "\\" in name:
                raise WorkspaceError(f"{path!r} names a file {name!r} outside of the backup; use another backup")
        return cls(place, manifest)

    @property
    def at(self) -> datetime:
        """Return the time of the backup."""
        return self.manifest.at

    def verify(self) -> None:
        """Compare all files with the manifest.

        Raises:
            WorkspaceError: A file is missing or was changed.
        """
        problems = []
        for name, stored in self.manifest.files.items():
            digest = hashlib.sha256()
            try:
                with self._open(name) as stream:
                    while chunk := stream.read(_CHUNK):
                        digest.update(chunk)
            except (FileNotFoundError, WorkspaceError):
                problems.append(f"{name} is missing")
                continue
            if digest.hexdigest() != stored.sha256:
                problems.append(f"{name} was changed")
        if problems:
            more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
            raise WorkspaceError(f"the backup in {self.uri!r} is damaged: {problems[0]}{more}; use another backup")

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names of the files under a folder of the backup, without that folder, in order."""
        for name in sorted(self.manifest.files):
            if name.startswith(f"{prefix}/"):
                yield name.removeprefix(f"{prefix}/")

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            WorkspaceError: The file is missing or was changed.
        """
        content = self._place.read(self._place.file(*name.split("/")))
        if hashlib.sha256(content).hexdigest() != self.manifest.files[name].sha256:
            raise WorkspaceError(f"{name!r} of the backup in {self.uri!r} was changed; use another backup")
        return content

    def read_json(self, name: str) -> Any:
        """Return the content of a file of JSON."""
        return json.loads(self.read(name))

    def copy(self, name: str, target: IO[bytes]) -> None:
        """Copy a file to a stream.

        Raises:
            WorkspaceError: The file was changed.
        """
        digest = hashlib.sha256()
        with self._open(name) as source:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                target.write(chunk)
        if digest.hexdigest() != self.manifest.files[name].sha256:
            raise WorkspaceError(f"{name!r} of the backup in {self.uri!r} was changed; use another backup")

    def extract(self, prefix: str, folder: Path) -> int:
        """Copy the files under a folder of the backup to a local folder; return their number."""
        count = 0
        for name in self.names(prefix):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as stream:
                self.copy(f"{prefix}/{name}", stream)
            count += 1
        return count

    def _open(self, name: str) -> IO[bytes]:
        opened: IO[bytes] = self._place.filesystem.open(self._place.file(*name.split("/")), "rb")
        return opened


def names_under(filesystem: "AbstractFileSystem", folder: str) -> list[str]:
    """Return the names of all files in a folder, relative to it, sorted; empty without the folder."""
    if not filesystem.exists(folder):
        return []
    root = folder.removeprefix("s3://").rstrip("/")
    return sorted(str(path).removeprefix(f"{root}/") for path in filesystem.find(folder))
