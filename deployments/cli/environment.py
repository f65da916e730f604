"""The environment that everfit's own processes run in: set before the libraries that read it are imported."""

import atexit
import importlib
import logging
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings

NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}

_ENDS_WITH_PARENT = """
import ctypes, runpy, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGTERM))  # PR_SET_PDEATHSIG
runpy.run_module("uvicorn", run_name="__main__", alter_sys=True)
"""
"""Runs uvicorn so that it ends with its parent, also one that is killed outright and can't see to it."""

_HEAVY = ("pandas", "deltalake", "great_expectations.expectations", "sklearn.ensemble", "mlflow.sklearn", "skops.io")
"""What takes longest to import of what every turn needs, in the order of need."""


def prepare(settings: Settings, *, quiet: bool = True) -> None:
    """Turn telemetry off, and keep the embedded Prefect database beside the workspace.

    A Prefect server that the user has configured is used as it is.

    Args:
        settings: Of this installation.
        quiet: Whether Prefect's own log lines are left to the UI.
    """
    prepare_without_prefect(settings, quiet=quiet)
    if not has_server():
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("PREFECT_API_DATABASE_CONNECTION_URL", prefect_database(settings))
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()  # Prefect has read its environment when it was imported
    if quiet:
        _leave_prefect_to_the_ui()


def prepare_without_prefect(settings: Settings, *, quiet: bool = True) -> None:
    """Do what can be done before Prefect is imported, which takes a second: enough for what runs without it.

    Args:
        settings: Of this installation.
        quiet: Whether libraries are to tell of what is wrong only.
    """
    os.environ.update(NO_TELEMETRY)
    os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "everfit")  # to the run's page in the UI
    os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")  # outside of a run there is no page
    os.environ.setdefault("PREFECT_LOGGING_FORMATTERS_STANDARD_FORMAT", "%(asctime)s  %(message)s")
    os.environ.setdefault("PREFECT_LOGGING_FORMATTERS_STANDARD_DATEFMT", "%H:%M:%S")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # which is for --json alone
    # OpenMP's threads spin while they wait for each other, which on a busy machine takes ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # 10 s, the default, is not enough for the very first start, which makes the database.
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "60")
    if quiet:
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        # Database migrations and Great Expectations tell of every step; the latter sets its level when imported.
        for name in ("alembic", "great_expectations.data_context.types.base"):
            logging.getLogger(name).addFilter(lambda record: record.levelno >= logging.WARNING)
    logging.getLogger("everfit").setLevel(settings.log_level.upper())


def _leave_prefect_to_the_ui() -> None:
    """Keep Prefect's own lines, and tracebacks above all, off the terminal; they are on the run's page."""
    from prefect.logging.configuration import setup_logging
    from prefect.logging.handlers import PrefectConsoleHandler

    setup_logging()
    for logger in (logging.getLogger(), logging.getLogger("prefect")):
        for handler in logger.handlers:
            if isinstance(handler, PrefectConsoleHandler):
                handler.addFilter(lambda record: not record.name.startswith("prefect"))


def has_server() -> bool:
    """Whether a Prefect server is configured, by the environment or by a profile."""
    from prefect.settings import get_current_settings

    return get_current_settings().api.url is not None


def server_hears() -> bool:
    """Whether a Prefect server is configured and answers; of one that doesn't, whoever runs the command is told."""
    if not has_server():
        return False
    from prefect.client.orchestration import get_client

    with get_client(httpx_settings={"timeout": 5}, sync_client=True) as client:
        error = client.api_healthcheck()
    if error is None:
        return True
    told = str(error) or type(error).__name__
    sys.stderr.write(
        f"The Prefect server that is configured does not answer ({told}): specs are taken from files, and it is told "
        f"of nothing that is done here.\n"
    )
    return False


def start_temporary_server() -> Callable[[], None]:
    """Start Prefect's server for as long as this process lives, where no other is configured.

    It takes seconds to come up, in which this process imports what the flows need. Prefect's own way to do the same
    first imports the whole server here as well, which takes more than a second in both.

    Returns:
        Call it to wait until the server answers, before the first flow is run.
    """
    if has_server():
        return lambda: None
    # Nobody looks at the pages of a server that ends with this process, and what blocks there are is in its database.
    os.environ.setdefault("PREFECT_SERVER_UI_ENABLED", "false")
    os.environ.setdefault("PREFECT_API_BLOCKS_REGISTER_ON_START", "false")
    from prefect.context import refresh_global_settings_context
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-c", _ENDS_WITH_PARENT, "--factory", "prefect.server.api.server:create_app"]
    command += ["--host", "127.0.0.1", "--port", port, "--log-level", "error", "--lifespan", "on"]
    alone = {"PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    kept = settings.to_environment_variables(exclude_unset=True)
    server = subprocess.Popen(command, env={**os.environ, **kept, **alone})  # noqa: S603 - our own command
    atexit.register(_stop, server)
    os.environ["PREFECT_API_URL"] = url = f"http://127.0.0.1:{port}/api"
    refresh_global_settings_context()
    within = settings.server.ephemeral.startup_timeout_seconds

    def server_is_up() -> None:
        give_up = time.monotonic() + within
        for name in _HEAVY:  # what flows import when they come to it: a processor is free while the server starts
            if _answers(url):
                return
            importlib.import_module(name)
        while not _answers(url):
            if server.poll() is not None or time.monotonic() > give_up:
                raise EverfitError(
                    f"Prefect's temporary server did not come up within {within} s (exit code {server.poll()!r}); "
                    f"start one by `prefect server start` and name it in PREFECT_API_URL"
                )
            time.sleep(0.05)

    return server_is_up


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:  # noqa: S310 - on loopback
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()  # it is the answer, and holds the connection
        return False
    except OSError:
        return False


def _stop(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(timeout=5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def prefect_database(settings: Settings) -> str:
    """The URL of the embedded Prefect database."""
    return f"sqlite+aiosqlite:///{settings.state_dir / 'prefect.db'}"
