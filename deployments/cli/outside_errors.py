"""Explain errors that other programs and the machine cause: MLflow, a database, a full disk. Each is one line."""

import errno
import os
import re

from everfit.tasks.storage.delta_errors import reason_of

_NO_PREFECT = "Failed to reach API at"
"""How Prefect's client begins the `RuntimeError` that it raises where no Prefect server answers."""

_DISK_ADVICE = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EIO: "check the disk",
    errno.EROFS: "let the disk be written",
}

_STATEMENT = re.compile(r"\s*\[SQL: .*?\(Background on this error at: \S+?\)", re.DOTALL)


def without_statement(text: str) -> str:
    """Return a message without the SQL statement, and the values in it, that SQLAlchemy adds to its errors."""
    return _STATEMENT.sub("", text)


def describe_outside_error(error: BaseException) -> str:
    """Return what happened and what to do about an error of the surroundings; empty for any other error.

    Args:
        error: An error that is none of everfit's own.

    Example:
        >>> describe_outside_error(OSError(28, "No space left on device", "a.csv"))
        "No space left on device: 'a.csv'; make room, and run the command again"
    """
    library = type(error).__module__.partition(".")[0]
    message = " ".join((without_statement(str(error)) or type(error).__name__).split())
    if library == "mlflow":
        return f"MLflow at {os.environ.get('MLFLOW_TRACKING_URI')!r} refused: {message}; check the server and its store"
    if (library == "prefect" and hasattr(error, "response")) or message.startswith(_NO_PREFECT):
        place = os.environ.get("PREFECT_API_URL") or "its profile's address"
        return f"Prefect at {place} refused: {message}; check that PREFECT_API_URL is the address of a Prefect server"
    if library in {"httpx", "httpcore"}:
        return f"the Prefect server broke the connection off ({message}); check it, and run the command again"
    return _describe_store_error(error, library)


def _describe_store_error(error: BaseException, library: str) -> str:
    if library == "_internal":  # of deltalake
        return f"a table can't be read or written: {reason_of(error)}; check its store, and run the command again"
    if library in {"sqlalchemy", "sqlite3", "psycopg"}:
        text = " ".join(str(getattr(error, "orig", None) or error).split())
        damaged = "disk image is malformed" in text  # SQLite says so of a disk that can't be read, too
        advice = "its disk; if the file is damaged, everfit restore takes a backup" if damaged else "the database"
        return f"a database refused: {text}; check {advice}"
    return _describe_disk_error(error) if isinstance(error, OSError) and error.strerror else ""


def _describe_disk_error(error: OSError) -> str:
    advice, file = _DISK_ADVICE.get(error.errno or 0, ""), ""
    if error.filename is not None:  # a write to an open file doesn't know the file's name
        advice, file = advice or "check the path and its permissions", f": {str(error.filename)!r}"
    return f"{error.strerror}{file}; {advice}, and run the command again" if advice else ""
