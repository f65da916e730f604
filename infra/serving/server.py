"""Start the service."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.blocks.errors import EverfitError
from everfit.blocks.joins import Join
from everfit.blocks.serving import ServingPolicy
from everfit.blocks.settings import Settings
from everfit.infra.serving.access import Tokens, read_tokens
from everfit.infra.serving.alias_glance import AliasGlance
from everfit.infra.serving.apart import CONDENSED, Processes
from everfit.infra.serving.garbage import GarbageSearches
from everfit.infra.serving.memory import FreedMemory, bound_arenas, bound_delta
from everfit.infra.serving.rounds import Rounds
from everfit.tasks.core.hosts import is_loopback

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from starlette.applications import Starlette

MODELS_VARIABLE = "EVERFIT_SERVE_MODELS"
JOINS_VARIABLE = "EVERFIT_SERVE_JOINS"
SIGNERS_VARIABLE = "EVERFIT_SERVE_SIGNERS"
TOKENS_VARIABLE = "EVERFIT_SERVE_TOKENS"

_HEAVY = {"mlflow", "skops.io"}
"""Modules that a service leaves to processes of their own."""

_MLFLOW = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # by default its client retries for minutes if the server is down
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""How MLflow's client works for a service, unless the environment says something else."""

_early: list[Processes] = []
"""The processes that `run` has started for the app that this process makes next."""

_ASKED_BY_THEMSELVES = 2
"""The aliases of more models than these are requested together."""


class ServingError(EverfitError):
    """The service can't be started with the given options."""


def build_app(
    models: list[str],
    policies: Mapping[str, ServingPolicy],
    tokens_file: Path | None,
    settings: Settings,
    *,
    joins: Mapping[str, Sequence[Join]] | None = None,
    signers: Mapping[str, Sequence[str]] | None = None,
    on_start: Callable[[], object] = lambda: None,
    apart: Processes | None = None,
) -> "Starlette":
    """Make the app that serves some models.

    Args:
        models: Names in the registry; `/invocations` uses the first.
        policies: Serving policy of each model; others get the defaults.
        tokens_file: File with the clients' tokens; without it every client has access.
        settings: Settings of this installation.
        joins: Joins of models that have some.
        signers: Signers of models whose spec names some.
        on_start: Function to call when the endpoints have started.
        apart: As for `ModelCache`.
    """
    for name, value in _MLFLOW.items():
        os.environ.setdefault(name, value)

    from everfit.infra.serving.app import create_app
    from everfit.infra.serving.endpoint import Endpoint
    from everfit.tasks.registry.mlflow_client import check_tracking, tracking_client
    from everfit.tasks.registry.readers import reader_of
    from everfit.tasks.storage.workspace import Workspace
    from everfit.tasks.storage.workspace_format import stored_format

    client = cache(lambda: tracking_client(settings))

    def registered() -> "MlflowClient":
        check_tracking(settings)  # MLflow's client would try again for seconds, and name its own exception
        return client()

    # An unreachable store must not keep the service from starting, so it is checked before each write.
    workspace = Workspace(settings.workspace)
    if not workspace.remote:
        stored_format(workspace)  # refuses a workspace of a newer everfit; a bucket is asked before each write
    every_s = min(policies.get(name, ServingPolicy()).follow_every for name in models)
    reader = reader_of(settings, registered)
    glance = AliasGlance(reader, len(models), every_s.total_seconds())
    freed, drains, checks = FreedMemory(), Rounds("everfit-drain", 3), Rounds("everfit-follow", 3)
    endpoints = {
        name: Endpoint(
            name,
            registered,
            settings.state_dir / "serving" / name,
            workspace.table(name, "predictions"),
            workspace.table(name, "labels"),
            policies.get(name, ServingPolicy()),
            check_store=lambda: Workspace.of(settings),
            workspace=workspace,
            joins=(joins or {}).get(name, ()),
            signers=(signers or {}).get(name, ()),
            after_drain=freed.hand_back,
            drains=drains,
            checks=checks,
            glance=glance.of if len(models) > _ASKED_BY_THEMSELVES else lambda _: None,
            apart=apart,
            reader=reader,
        )
        for name in models
    }
    return create_app(endpoints, Tokens(tokens_file), on_start)


def from_environment() -> "Starlette":
    """Make the app in a worker process, or for another process manager.

    `EVERFIT_SERVE_MODELS` has the models and their policies as JSON, `EVERFIT_SERVE_JOINS` their joins,
    `EVERFIT_SERVE_SIGNERS` their signers, `EVERFIT_SERVE_TOKENS` the token file. Where the accepted spec of a model
    names its editors, these must be its keys.

    Raises:
        RoleError: A key differs from the accepted spec.
    """
    from everfit.infra.serving.accepted_specs import check_served

    content = json.loads(os.environ[MODELS_VARIABLE])
    policies = {name: ServingPolicy.model_validate(policy) for name, policy in content.items()}
    joined = json.loads(os.environ.get(JOINS_VARIABLE, "{}"))
    joins = {name: [Join.model_validate(join) for join in content] for name, content in joined.items()}
    signers = json.loads(os.environ.get(SIGNERS_VARIABLE, "{}"))
    tokens = os.environ.get(TOKENS_VARIABLE)
    settings = Settings()
    for name, policy in policies.items():
        check_served(name, policy, joins.get(name, ()), signers.get(name, ()), settings)
    # Requests and predictions share the interpreter's lock: switch threads faster than the default 5 ms.
    sys.setswitchinterval(0.001)
    bound_arenas()
    bound_delta()
    searches = GarbageSearches()
    searches.pause()
    apart = _early.pop() if _early else _processes(list(policies), settings)

    def started() -> None:
        searches.resume()
        if apart is not None:
            apart.end_start()

    return build_app(
        list(content),
        policies,
        Path(tokens) if tokens else None,
        settings,
        joins=joins,
        signers=signers,
        on_start=started,
        apart=apart,
    )


def _processes(models: Sequence[str], settings: Settings) -> Processes | None:
    """Return what starts processes for versions, one of which begins now if a version must be condensed.

    None if this process has what they import: a module that it has imported already costs it nothing more.
    """
    if _HEAVY & sys.modules.keys():
        return None
    processes = Processes()
    if not all(_is_condensed(name, settings) for name in models):
        for name, value in _MLFLOW.items():
            os.environ.setdefault(name, value)
        processes.start_early()
    return processes


def _is_condensed(model: str, settings: Settings) -> bool:
    """Return whether a version of a model may be served from what an earlier start has condensed."""
    return any((settings.state_dir / "serving" / model / "models").glob(f"*{CONDENSED}"))


def run(
    models: list[str],
    host: str = "127.0.0.1",
    port: int = 8080,
    workers: int = 1,
    *,
    policies: Mapping[str, ServingPolicy] | None = None,
    tokens_file: Path | None = None,
    joins: Mapping[str, Sequence[Join]] | None = None,
    signers: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then answer and log the waiting requests, and end.

    Args:
        models: Names in the registry; `/invocations` uses the first.
        host: Address to bind to.
        port: Port to bind to.
        workers: Number of processes.
        policies: Serving policy of each model.
        tokens_file: Lines of `client sha256`; required unless `host` is a loopback address.
        joins: Joins of models that have some.
        signers: Signers of models whose spec names some.

    Raises:
        ServingError: If there is no model or a model twice, the host can be reached from elsewhere without a token
        file, or
            the token file can't be read.
    """
    if not models or len(set(models)) != len(models):
        raise ServingError(f"the models to serve are {models!r}; name at least one, and each only once")
    if tokens_file is None and not is_loopback(host):
        raise ServingError(f"{host!r} can be reached from other machines: give a token file, or bind to 127.0.0.1")
    if tokens_file is not None:
        try:
            read_tokens(tokens_file)
        except (OSError, ValueError) as error:
            raise ServingError(
                f"the token file {str(tokens_file)!r} can't be used: {error}; "
                "make one with `everfit token CLIENT >> FILE`"
            ) from error
    if workers == 1 and (early := _processes(models, Settings())) is not None:
        _early[:] = [early]  # before this process imports what it needs itself
    import uvicorn

    by_model = {name: (policies or {}).get(name, ServingPolicy()) for name in models}
    os.environ[MODELS_VARIABLE] = json.dumps(
        {name: policy.model_dump(mode="json") for name, policy in by_model.items()}
    )
    if joined := {name: [join.content() for join in some] for name, some in (joins or {}).items() if some}:
        os.environ[JOINS_VARIABLE] = json.dumps(joined)
    if signers:
        os.environ[SIGNERS_VARIABLE] = json.dumps({name: list(some) for name, some in signers.items()})
    if tokens_file is not None:
        os.environ[TOKENS_VARIABLE] = str(tokens_file.absolute())
    uvicorn.run(
        "everfit.infra.serving.server:from_environment",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        http="everfit.infra.serving.connections:LimitedProtocol",
        access_log=False,
        log_level="info",
        timeout_graceful_shutdown=30,
        server_header=False,
    )
