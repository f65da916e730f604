"""The environment of everfit's own processes. It is set before the libraries that read it are imported."""

import atexit
import importlib
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings
from everfit.deployments.cli.terminal_logs import hide_tracebacks, is_no_thread_warning
from everfit.tasks.core.reachable import why_unreachable

NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}

UVICORN = """
import ctypes, gc, runpy, signal, sys
gc.set_threshold(50_000, 20, 50)  # what it imports stays: to look for garbage in it takes an eighth of its start
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal.SIGTERM))  # PR_SET_PDEATHSIG
runpy.run_module("uvicorn", run_name="__main__", alter_sys=True)
"""
"""Runs uvicorn so that it starts sooner, and ends with its parent, even if the parent is killed."""

TRAINING = ("pandas", "deltalake", "skops.io", "great_expectations.expectations", "sklearn.ensemble", "mlflow.sklearn")
"""The slowest imports of a turn. skops looks through all modules that there are, so it comes before most of them."""

SCORING = ("pandas", "deltalake", "skops.io", "mlflow.sklearn")
"""The slowest imports of batch scoring. It checks no expectations, and fits nothing."""

LABELING = ("pandas", "deltalake", "mlflow")
"""The slowest imports of what loads no model."""

_PROGRESS = 0.2
"""Seconds of the processor that a starting server must use to show that it gets on."""


def prepare(settings: Settings, *, quiet: bool = True) -> None:
    """Turn telemetry off, and keep the embedded Prefect database beside the workspace.

    A configured Prefect server is used as it is.

    Args:
        settings: The settings of this installation.
        quiet: Whether Prefect's own log lines appear in the UI only.
    """
    prepare_without_prefect(settings, quiet=quiet)
    _bypass_proxies()
    if not has_server():
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("PREFECT_API_DATABASE_CONNECTION_URL", prefect_database(settings))
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()  # Prefect reads its environment when it is imported
    if quiet:
        from everfit.tasks.storage.panics import hide_panics

        _leave_prefect_to_the_ui()
        hide_panics()


def prepare_without_prefect(settings: Settings, *, quiet: bool = True) -> None:
    """Set the part of the environment that needs no import of Prefect, which takes a second.

    Args:
        settings: The settings of this installation.
        quiet: Whether libraries log warnings and errors only.
    """
    os.environ.update(NO_TELEMETRY)
    os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "everfit")  # shown on the run's page in the UI
    os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")  # there is no page outside of a run
    os.environ.setdefault("PREFECT_LOGGING_FORMATTERS_STANDARD_FORMAT", "%(asctime)s  %(message)s")
    os.environ.setdefault("PREFECT_LOGGING_FORMATTERS_STANDARD_DATEFMT", "%H:%M:%S")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # stdout belongs to --json
    # The first start creates the database, which can take longer than the default of 10 s.
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "60")
    if quiet:
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        # Database migrations and Great Expectations log every step; the latter sets its level when it is imported.
        for name in ("alembic", "great_expectations.data_context.types.base"):
            logging.getLogger(name).addFilter(lambda record: record.levelno >= logging.WARNING)
        # MLflow logs a database's error with its traceback and statement, and raises it too.
        logging.getLogger("mlflow.store.db.utils").addFilter(lambda record: not record.exc_info)
        logging.getLogger("py.warnings").addFilter(is_no_thread_warning)
        hide_tracebacks(logging.lastResort)
    logging.getLogger("everfit").setLevel(settings.log_level.upper())


def _leave_prefect_to_the_ui() -> None:
    """Keep Prefect's own lines and tracebacks off the terminal. The run's page shows them."""
    from prefect.logging.configuration import setup_logging
    from prefect.logging.handlers import PrefectConsoleHandler

    setup_logging()
    for logger in (logging.getLogger(), logging.getLogger("prefect")):
        for handler in logger.handlers:
            if isinstance(handler, PrefectConsoleHandler):
                handler.addFilter(lambda record: not record.name.startswith("prefect"))
                hide_tracebacks(handler)


def has_server() -> bool:
    """Return whether a Prefect server is configured, by the environment or by a profile."""
    from prefect.settings import get_current_settings

    return get_current_settings().api.url is not None


def _server_url() -> str:
    from prefect.settings import get_current_settings

    return str(get_current_settings().api.url)


def check_addresses(settings: Settings) -> None:
    """Check that the servers which the environment names are there, before imports that take seconds.

    Args:
        settings: The settings of this installation.

    Raises:
        EverfitError: Nobody listens at the address of MLflow or of the Prefect server.
    """
    _bypass_proxies()
    if url := os.environ.get("PREFECT_API_URL"):
        _check_prefect(url)
    check_mlflow(settings)


def check_mlflow(settings: Settings) -> None:
    """Check that MLflow's server is there, before imports that take seconds.

    Args:
        settings: The settings of this installation.

    Raises:
        EverfitError: Nobody listens at its address.
    """
    from everfit.tasks.registry.mlflow_client import check_tracking

    _bypass_proxies()
    check_tracking(settings)


def check_server() -> None:
    """Check that somebody listens at the configured server's address: Prefect's client would try for minutes.

    Raises:
        EverfitError: Nobody does.
    """
    _check_prefect(_server_url())


def _check_prefect(url: str) -> None:
    if problem := why_unreachable(url):
        raise EverfitError(
            f"the Prefect server at {url} does not answer: {problem}; start it, or unset PREFECT_API_URL (in a "
            f"profile: `prefect config unset PREFECT_API_URL`) to run without a server"
        )


def server_answers() -> bool:
    """Return whether a Prefect server is configured and answers. Warn about one that doesn't answer."""
    if not has_server():
        return False
    problem = why_unreachable(_server_url())
    if problem is None:
        from prefect.client.orchestration import get_client

        with get_client(httpx_settings={"timeout": 5}, sync_client=True) as client:
            error = client.api_healthcheck()
        if error is None:
            return True
        problem = str(error) or type(error).__name__
    sys.stderr.write(
        f"everfit: the configured Prefect server does not answer ({problem}); specs are read from files, and the "
        f"server is not notified\n"
    )
    return False


def _bypass_proxies() -> None:
    """Have requests to this machine go past a proxy, which would look for the address on its own machine."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host.strip()]
        os.environ[name] = ",".join(dict.fromkeys([*hosts, "127.0.0.1", "localhost"]))


def start_temporary_server(imports: Sequence[str] = TRAINING) -> Callable[[], None]:
    """Start a Prefect server that lives as long as this process, if none is configured.

    The server starts within seconds, while this process imports the libraries of the flows. Prefect's own temporary
    server would import the whole server in this process too, which takes another second.

    Args:
        imports: Modules that the flow is going to import anyway. Another one would cost more than it saves.

    Returns:
        A function that waits until the server answers. Call it before the first flow runs.

    Raises:
        EverfitError: A server is configured, and nobody listens at its address.
    """
    if has_server():
        check_server()
        return lambda: None
    # A temporary server needs no UI, and its database already holds the block types.
    os.environ.setdefault("PREFECT_SERVER_UI_ENABLED", "false")
    os.environ.setdefault("PREFECT_API_BLOCKS_REGISTER_ON_START", "false")
    # To find out whether they changed, the server would import every collection of blocks that is installed.
    os.environ.setdefault("PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION", "false")
    from prefect.context import refresh_global_settings_context
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-c", UVICORN, "--factory", "prefect.server.api.server:create_app"]
    command += ["--host", "127.0.0.1", "--port", port, "--log-level", "error", "--lifespan", "on"]
    temporary = {"PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    configured = settings.to_environment_variables(exclude_unset=True)
    # A server that is stopped in the middle of its work writes a traceback, which is nobody's concern.
    output = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed when the server is stopped
    environment = {**os.environ, **configured, **temporary}
    server = subprocess.Popen(command, env=environment, stderr=output)  # noqa: S603 - our own command
    atexit.register(_stop, server, output)
    os.environ["PREFECT_API_URL"] = url = f"http://127.0.0.1:{port}/api"
    refresh_global_settings_context()
    timeout = settings.server.ephemeral.startup_timeout_seconds

    def wait_for_server() -> None:
        deadline, worked = time.monotonic() + timeout, 0.0
        for name in imports:  # a processor is free while the server starts
            if _answers(url):
                return
            importlib.import_module(name)
        while not _answers(url):
            # On a busy machine the server needs longer, but it gets on: it uses the processor.
            if (now := _processor_seconds(server.pid)) > worked + _PROGRESS:
                deadline, worked = time.monotonic() + timeout, now
            if server.poll() is not None or time.monotonic() > deadline:
                server.kill()  # a server that is still starting would print a traceback when it is asked to end
                raise EverfitError(
                    f"Prefect's temporary server did not start within {timeout} s (exit code {server.poll()!r}"
                    f"{_last_line(output)}); give it longer by PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, or "
                    f"start one by `prefect server start` and set PREFECT_API_URL to its address"
                )
            time.sleep(0.05)

    return wait_for_server


def _last_line(output: IO[bytes]) -> str:
    """Return the last line that a server has written, after a separator; empty if it has written nothing."""
    output.seek(0)
    lines = output.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f", {last[:300]}" if last else ""


def _processor_seconds(pid: int) -> float:
    """Return how long a process has used the processor; 0 where the system doesn't show it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _answers(url: str) -> bool:
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({})
    )  # a proxy doesn't reach this machine's loopback
    try:
        with direct.open(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        return False
    except OSError:
        return False


def _stop(server: "subprocess.Popen[bytes]", output: IO[bytes]) -> None:
    server.terminate()
    try:
        server.wait(timeout=5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    output.close()


def prefect_database(settings: Settings) -> str:
    """Return the URL of the embedded Prefect database."""
    return f"sqlite+aiosqlite:///{settings.state_dir / 'prefect.db'}"
