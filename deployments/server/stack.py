"""The whole stack on one machine, as local processes: Prefect server, MLflow, worker, prediction service."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import httpx

from everfit.blocks.errors import DeploymentError
from everfit.blocks.settings import Settings
from everfit.deployments.cli.environment import NO_TELEMETRY
from everfit.deployments.server import keeper
from everfit.deployments.server.databases import Databases, databases, to_fill_in
from everfit.deployments.server.processes import Process, free_port
from everfit.tasks.core.cores import usable_cores
from everfit.tasks.core.spec_loading import file_content, load_spec, spec_files

_PORTS = {"prefect": 4200, "mlflow": 5000, "service": 8080, "pages": 8090}
_NAMES = ("prefect", "mlflow", "worker", "service", "pages", "watcher", "keeper")
_COMES_UP_WITHIN = 120.0


@dataclass(frozen=True)
class Stack:
    """A running stack.

    Attributes:
        addresses: The address of each part.
        logs: The folder of the logs.
        exports: Environment variables for a shell that uses the stack.
        note: A remark for the person who started it; empty if there is none.
    """

    addresses: dict[str, str]
    logs: Path
    exports: tuple[str, ...]
    note: str = ""


def up(
    settings: Settings,
    models: Sequence[str],
    database: str | None,
    telling: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> Stack:
    """Start the parts of the stack that don't run yet, and set the server up.

    Args:
        settings: The settings of this installation.
        models: The models to serve; by default all specs of deployments/models.
        database: A PostgreSQL URL, or None for SQLite.
        telling: Says what is done while a body runs.

    Raises:
        DeploymentError: There is no such spec in deployments/models, or a part doesn't start.
    """
    folder = settings.state_dir / "stack"
    served = _served(models)
    folder.mkdir(parents=True, exist_ok=True)
    stores = databases(database, settings.state_dir)
    parts = {name: Process(name, folder) for name in _NAMES}
    _stop(["keeper"], folder)  # it may restart parts of another configuration
    ports = {
        name: part.port if (part := parts[name]).pid and part.port else free_port(part.port or wanted)
        for name, wanted in _PORTS.items()
    }
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    environment = environment_of(settings, folder, stores, urls)

    commands = _commands(served, settings, ports)
    with telling(f"starting Prefect at {urls['prefect']} and MLflow at {urls['mlflow']}"):
        _start(("prefect", "mlflow"), parts, commands, environment)
        _demo_data(served)
        parts["prefect"].wait_until(lambda: _answers(f"{urls['prefect']}/api/health"), _COMES_UP_WITHIN)
    with telling(f"making the deployments of {', '.join(spec.stem for spec in spec_files())} (everfit bootstrap)"):
        _bootstrap(environment, urls["service"])
    with telling("waiting for MLflow"):
        parts["mlflow"].wait_until(lambda: _answers(f"{urls['mlflow']}/health"), _COMES_UP_WITHIN)
    others = [name for name in ("worker", "service", "pages", "watcher") if name in commands]
    with telling(f"starting the {', '.join(others)}"):
        _start(others, parts, commands, environment)
        parts["worker"].wait_until(lambda: _has_worker(urls["prefect"]), _COMES_UP_WITHIN)
        parts["service"].wait_until(lambda: _answers(f"{urls['service']}/version"), _COMES_UP_WITHIN)
        parts["pages"].wait_until(lambda: _connects(ports["pages"]), _COMES_UP_WITHIN)
    parts["keeper"].start(keeper.command(commands, folder), environment)
    return Stack(
        {
            "Prefect": urls["prefect"],
            "MLflow": urls["mlflow"],
            "pages of models": urls["pages"],
            "prediction service": f"{urls['service']}  ({', '.join(served)})",
        },
        folder,
        _exports(settings, environment, stores),
        shipped_note(models, served),
    )


def down(settings: Settings) -> list[str]:
    """Stop the processes that `up` has started in this workspace.

    Returns:
        The parts that were running.
    """
    folder = settings.state_dir / "stack"
    # First the keeper, which restarts the others; then the parts that need the servers while they end.
    return [
        name
        for wave in (["keeper"], ["service", "worker", "pages", "watcher"], ["mlflow", "prefect"])
        for name in _stop(wave, folder)
    ]


def _served(models: Sequence[str]) -> list[str]:
    """Return the names of the models to serve: the given ones, or all of deployments/models."""
    there = spec_files()
    if not there:
        raise DeploymentError("there is no spec in deployments/models; write one with `everfit init`")
    names = [(file_content(model) or load_spec(model)).name for model in models]
    for model, name in zip(models, names, strict=True):
        if model.endswith((".yaml", ".yml")) and Path(model).resolve() not in {path.resolve() for path in there}:
            raise DeploymentError(
                f"{model!r} is not in deployments/models, and only what is there gets deployments and is served; "
                f"move it to deployments/models/{name}.yaml"
            )
    return names or [path.stem for path in there]


def shipped_note(models: Sequence[str], served: Sequence[str]) -> str:
    """Return that models which come with everfit are served, or an empty text if they are the user's own."""
    if models or Path("deployments/models").is_dir():
        return ""
    return (
        f"This folder has no deployments/models, so {', '.join(served)}, which comes with everfit, is served. To serve "
        "a model of your own, move its spec there, and run `everfit up` again."
    )


def _exports(settings: Settings, environment: dict[str, str], stores: Databases) -> tuple[str, ...]:
    """Return the environment variables of a shell that uses the stack, without passwords."""
    names = ["PREFECT_API_URL", "MLFLOW_TRACKING_URI", "EVERFIT_WORKSPACE", "EVERFIT_PAGES_URL"]
    exports = [f"{name}={environment[name]}" for name in names]
    if stores.ledger is not None:
        exports.append(f"EVERFIT_LEDGER_URL='{to_fill_in(stores.ledger)}'")
    elif settings.ledger_url is None and "://" in settings.workspace:
        exports.append(f"EVERFIT_LEDGER_URL={settings.ledger}")  # in the folder in which the stack was started
    return tuple(exports)


def _stop(names: Sequence[str], folder: Path) -> list[str]:
    parts = [Process(name, folder) for name in names]
    running = [part.name for part in parts if part.terminate()]
    for part in parts:
        part.end()
    return running


def environment_of(settings: Settings, folder: Path, stores: Databases, urls: dict[str, str]) -> dict[str, str]:
    """Return the environment of the processes of a stack.

    Args:
        settings: The settings of this installation.
        folder: The folder of the processes' files.
        stores: The databases.
        urls: The addresses of `prefect`, `mlflow` and `pages`.
    """
    workspace = settings.workspace if "://" in settings.workspace else str(Path(settings.workspace).absolute())
    own = {
        **NO_TELEMETRY,
        **_time_zones(),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "EVERFIT_WORKSPACE": workspace,
        "MLFLOW_TRACKING_URI": urls["mlflow"],
        **stores.prefect,
        # In the environment, since it may hold a password and every user of the machine can read command lines.
        "MLFLOW_BACKEND_STORE_URI": stores.mlflow,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # five more processes, for judging language models
        "PREFECT_HOME": str(folder / "prefect"),  # not the user's own profile
        "PREFECT_API_URL": f"{urls['prefect']}/api",
        "PREFECT_UI_URL": urls["prefect"],
        "EVERFIT_PAGES_URL": settings.pages_url or urls["pages"],
        # On disk, since a run that dies together with the server would otherwise hold its slot for ever.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # By default a server deletes old events, and keeps all runs for ever; so it deletes those of 90 days ago too.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": os.environ.get(
            "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED", "events,flow_runs"
        ),
        "PREFECT_SERVER_UI_API_URL": f"{urls['prefect']}/api",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "everfit",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    if stores.ledger is not None:
        own["EVERFIT_LEDGER_URL"] = stores.ledger
    return {**os.environ, **own}


def _time_zones() -> dict[str, str]:
    """Return the variables by which Python takes time zones from the package `tzdata`, if it is there.

    Prefect's server looks through all files of time zones each time that it reads a schedule. The package has a list
    of them, so that it takes a sixth of the time.
    """
    return {"PYTHONTZPATH": os.environ.get("PYTHONTZPATH", "")} if find_spec("tzdata") else {}


def _commands(
    served: Sequence[str], settings: Settings, ports: dict[str, int]
) -> dict[str, tuple[list[str], int | None]]:
    """Return the command and the port of each part."""
    python, host = [sys.executable, "-m"], ["--host", "127.0.0.1", "--port"]
    artifacts = (settings.state_dir / "mlflow-artifacts").as_uri()
    quiet = [
        "--uvicorn-opts",
        "--no-access-log",
    ]  # the service sends two requests a second, and the log is never deleted
    tracking = ["--artifacts-destination", artifacts, "--workers", "1", *quiet]
    pool = ["--pool", "everfit", "--type", "process", "--name", "everfit-local"]
    serve = ["everfit.deployments.cli.main", "serve", *served, "--port", str(ports["service"])]
    watcher = {}
    if settings.registry_poll is not None:
        every = f"{settings.registry_poll.total_seconds():g}s"
        watcher["watcher"] = ([*python, "everfit.deployments.cli.main", "watch", *served, "--every", every], None)
    return {
        "prefect": ([*python, "prefect", "server", "start", *host, str(ports["prefect"])], ports["prefect"]),
        "mlflow": ([*python, "mlflow", "server", *host, str(ports["mlflow"]), *tracking], ports["mlflow"]),
        "worker": ([*python, "prefect", "worker", "start", *pool, "--limit", str(max(2, usable_cores()))], None),
        "service": ([*python, *serve], ports["service"]),
        "pages": (
            [*python, "everfit.deployments.cli.main", "pages", "--serve", "--port", str(ports["pages"])],
            ports["pages"],
        ),
        **watcher,
    }


def _start(
    names: Sequence[str],
    parts: dict[str, Process],
    commands: dict[str, tuple[list[str], int | None]],
    environment: dict[str, str],
) -> None:
    for name in names:
        if parts[name].pid is None:
            command, port = commands[name]
            parts[name].start(command, environment, port)


def _demo_data(served: Sequence[str]) -> None:
    from everfit.deployments.demo.data import MODEL, prepare

    if MODEL in served:
        prepare(Path(".everfit/demo/flights"))


def _connects(port: int) -> bool:
    """Return whether somebody listens at a port of this machine; there may be no page yet."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _bootstrap(environment: dict[str, str], service: str) -> None:
    command = [sys.executable, "-m", "everfit.deployments.cli.main", "bootstrap", "--service", service]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise DeploymentError(
            done.stderr.strip().removeprefix("everfit: ") or f"bootstrap ended with {done.returncode}"
        )


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


def _has_worker(prefect: str) -> bool:
    try:
        answer = httpx.post(f"{prefect}/api/work_pools/everfit/workers/filter", json={}, timeout=5)
    except httpx.HTTPError:
        return False
    return answer.is_success and any(worker["status"] == "ONLINE" for worker in answer.json())
