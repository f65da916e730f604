"""What infra/ and the documents call by name is there, and understands it."""

import functools
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.infra import INFRA, ROOT, load, stages
from support.warm_popen import output_of

from everfit.blocks.settings import Settings


def environments(compose: dict[str, Any]) -> set[str]:
    given = {name for service in compose["services"].values() for name in service.get("environment", {})}
    given |= set(re.findall(r"\b([A-Z][A-Z0-9_]+)=", stages()["base"][1] + stages()["everfit"][1]))
    server = load("helm/prefect-server.yaml")
    return given | {one["name"] for one in server["global"]["prefect"]["env"]}


def test_every_variable_is_one_that_somebody_reads(compose: dict[str, Any]) -> None:
    import mlflow.environment_variables
    from prefect.settings.legacy import _get_settings_fields  # the names that `prefect config view` shows
    from prefect.settings.models.root import Settings as PrefectSettings

    prefect = {*_get_settings_fields(PrefectSettings), "PREFECT_MESSAGING_BROKER", "PREFECT_MESSAGING_CACHE"}
    prefect |= {"PREFECT_REDIS_MESSAGING_URL"}
    read = "\n".join(path.read_text() for folder in ("blocks", "tasks", "deployments") for path in _modules(folder))
    given = environments(compose)
    assert {name for name in given if name.startswith("PREFECT_")} - prefect == {"PREFECT_DB_PASSWORD"}
    mlflow_names = {name for name in given if name.startswith("MLFLOW_")} - {"MLFLOW_DB_PASSWORD"}
    assert [name for name in mlflow_names if not hasattr(mlflow.environment_variables, name)] == [
        name
        for name in mlflow_names
        if name == "MLFLOW_BACKEND_STORE_URI"  # of its command alone
    ]
    settings = {f"EVERFIT_{name.upper()}" for name in Settings.model_fields}
    own = {name for name in given if name.startswith("EVERFIT_")} - settings - {"EVERFIT_DB_PASSWORD"}
    assert [name for name in own if f'"{name}"' not in read] == []
    script = (INFRA / "docker" / "databases.sh").read_text()
    assert set(compose["services"]["postgres"]["environment"]) - set(re.findall(r"\$(\w+)", script)) == {
        "POSTGRES_PASSWORD"
    }


def _modules(folder: str) -> list[Path]:
    return list((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize(
    ("variable", "names"),
    [
        ("PREFECT_MESSAGING_BROKER", ("Publisher", "Consumer")),
        ("PREFECT_MESSAGING_CACHE", ("Cache",)),
        ("PREFECT_SERVER_EVENTS_CAUSAL_ORDERING", ("CausalOrdering",)),
        ("PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE", ("ConcurrencyLeaseStorage",)),
        ("PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE", ()),
    ],
)
def test_what_prefect_is_to_share_through_redis_is_there(
    compose: dict[str, Any], variable: str, names: tuple[str, ...]
) -> None:
    given = compose["services"]["prefect"]["environment"]
    assert compose["services"]["prefect-services"]["environment"] == given
    module = importlib.import_module(given[variable])
    assert [name for name in names if not hasattr(module, name)] == []


@functools.cache
def everfit() -> Any:
    import typer.main

    from everfit.deployments.cli.commands import app

    return typer.main.get_command(app)


def everfit_commands() -> list[list[str]]:
    """Every call of `everfit` in infra/, as words."""
    results = []
    for path in INFRA.rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            results += _commands(document)
        results += [line.split() for line in re.findall(r"bin/(everfit [^|\n]*)", path.read_text())]
    return results


def _commands(content: Any) -> Iterator[list[str]]:
    match content:
        case {"command": ["everfit", *words]}:
            yield ["everfit", *words]
        case dict():
            for value in content.values():
                yield from _commands(value)
        case list():
            for value in content:
                yield from _commands(value)


@pytest.mark.parametrize("words", everfit_commands(), ids=" ".join)
def test_every_call_of_everfit_is_one_that_it_understands(words: list[str]) -> None:
    known = everfit().commands
    assert words[1] in known
    options = {option for one in known[words[1]].params for option in (*one.opts, *one.secondary_opts)}
    assert {word.split("=")[0] for word in words[2:] if word.startswith("--")} <= options


@pytest.mark.parametrize("service", ["prefect", "worker", "mlflow"])
def test_every_call_of_another_program_is_one_that_it_understands(compose: dict[str, Any], service: str) -> None:
    words = compose["services"][service]["command"]
    helped = output_of(*[word for word in words if not word.startswith("-")], "--help")
    options = [word.split("=")[0] for word in words if word.startswith("--")]
    assert [option for option in options if option not in helped] == []


@pytest.mark.parametrize("document", ["operations", "scaling", "security"])
def test_every_command_of_the_documents_is_one_that_everfit_understands(document: str) -> None:
    text = (ROOT / "docs" / f"{document}.md").read_text()
    code = re.findall(r"^ {4}.*$", text, flags=re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
    calls = re.findall(r"\beverfit ([a-z]+(?:-[a-z]+)*)([^|>&#\n]*)", "\n".join(code))
    known = everfit().commands
    assert len(calls) >= 2
    for name, rest in calls:
        assert name in known, name
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) <= options, f"everfit {name}{rest}"


@pytest.mark.parametrize("document", ["operations", "scaling", "security"])
def test_what_the_documents_point_at_is_there(document: str) -> None:
    text = (ROOT / "docs" / f"{document}.md").read_text()
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    targets += [f"../{path}" for path in re.findall(r"`((?:infra|tests|deployments)/[\w./-]+)`", text)]
    assert [target for target in targets if not (ROOT / "docs" / target).exists()] == []
