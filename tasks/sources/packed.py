"""Unpack files that are compressed or in an archive, whatever their names say."""

import gzip
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from everfit.blocks.errors import SourceError
from everfit.tasks.sources.file_names import FileFormat, format_by_name

_ZIP, _GZIP, _PARQUET = (b"PK\x03\x04", b"PK\x05\x06"), b"\x1f\x8b", b"PAR1"
_NAMED = 5


@contextmanager
def unpacked(path: str, file_format: str, where: str) -> "Iterator[tuple[str, FileFormat]]":
    """Yield the path of a file's content, and its format.

    Text that is compressed by gzip stays as it is, because the readers of text decompress it.

    Args:
        path: A local file.
        file_format: Its format; `packed` if only the content shows it.
        where: Name of the file for error messages.

    Raises:
        SourceError: An archive has no file or several, needs a password, or is damaged.
    """
    head = _head(path)
    if not head.startswith(_ZIP) and not (head.startswith(_GZIP) and file_format in {"parquet", "packed"}):
        yield path, _format_of_content(path) if file_format == "packed" else file_format  # type: ignore[misc]
        return
    with tempfile.TemporaryDirectory(prefix="everfit-") as folder:
        content = Path(folder) / "content"
        try:
            name = _unzip(path, content, where) if head.startswith(_ZIP) else _decompress(path, content)
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise SourceError(f"{where} can't be unpacked: {error}; pack it again, or unpack it") from error
        known = file_format if file_format != "packed" else format_by_name(name)
        yield str(content), _format_of_content(str(content)) if known in {None, "packed"} else known  # type: ignore[misc]


def _unzip(path: str, content: Path, where: str) -> str:
    """Write the only file of an archive, and return its name."""
    with zipfile.ZipFile(path) as archive:
        names = [
            item.filename for item in archive.infolist() if not item.is_dir() and not _is_of_the_system(item.filename)
        ]
        if "[Content_Types].xml" in names:
            raise SourceError(f"{where} is a spreadsheet or a document; save it as CSV")
        if len(names) != 1:
            shown = f"{', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''}" if names else "none"
            raise SourceError(
                f"{where} is an archive of {len(names)} files ({shown}); unpack it, so that each is a file"
            )
        with archive.open(names[0]) as packed, content.open("wb") as target:
            shutil.copyfileobj(packed, target, 8 << 20)
    return names[0]


def _is_of_the_system(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _decompress(path: str, content: Path) -> str:
    with gzip.open(path) as packed, content.open("wb") as target:
        shutil.copyfileobj(packed, target, 8 << 20)
    return PurePosixPath(path).stem


def _format_of_content(path: str) -> "FileFormat":
    head = _head(path)
    if head.startswith(_PARQUET):
        return "parquet"
    return "jsonl" if head.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in {b"{", b"["} else "csv"


def _head(path: str) -> bytes:
    with open(path, "rb") as stream:  # noqa: PTH123
        return stream.read(64)
