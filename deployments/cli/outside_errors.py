"""Explain errors that other programs and the machine cause: MLflow, a database, a full disk. Each is one line."""

import os

_NO_PREFECT = "Failed to reach API at"
"""How Prefect's client begins the `RuntimeError` that it raises where no Prefect server answers."""


def describe_outside_error(error: BaseException) -> str:
    """Return what happened and what to do about an error of the surroundings; empty for any other error.

    Args:
        error: An error that is none of everfit's own.

    Example:
        >>> describe_outside_error(OSError(28, "No space left on device", "a.csv"))
        "No space left on device: 'a.csv'; make room, and run the command again"
    """
    library = type(error).__module__.partition(".")[0]
    message = " ".join((str(error) or type(error).__name__).split())
    if library == "mlflow":
        return f"MLflow at {os.environ.get('MLFLOW_TRACKING_URI')!r} refused: {message}; check the server and its store"
    if (library == "prefect" and hasattr(error, "response")) or message.startswith(_NO_PREFECT):
        place = os.environ.get("PREFECT_API_URL") or "its profile's address"
        return f"Prefect at {place} refused: {message}; check that PREFECT_API_URL is the address of a Prefect server"
    if library in {"httpx", "httpcore"}:
        return f"the Prefect server broke the connection off ({message}); check it, and run the command again"
    if library == "sqlalchemy":
        return f"a database refused: {' '.join(str(getattr(error, 'orig', None) or error).split())}; check the database"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        advice = "make room" if error.errno == 28 else "check the path and its permissions"
        return f"{error.strerror}: {str(error.filename)!r}; {advice}, and run the command again"
    return ""
