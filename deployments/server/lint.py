"""The lint of specs, `prefect.yaml` and `automations.yaml`: mistakes that would otherwise appear at run time."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID
from weakref import WeakKeyDictionary

from everfit.blocks.errors import DeploymentError, ExtensionError, SpecError
from everfit.deployments.server import files, placeholders
from everfit.deployments.server.schedules import with_schedules
from everfit.tasks.core import event_names
from everfit.tasks.core.extensions import load_extension
from everfit.tasks.core.spec_loading import load_spec_file, spec_files
from everfit.tasks.registry.own_code import references

if TYPE_CHECKING:
    from prefect import Flow

    from everfit.blocks.spec import ModelSpec

_LONE = re.compile(r"\{\{(?:(?!\{\{).)*\}\}", re.DOTALL)
_PAYLOAD = ("until", "reason", "id", "decision_id", "turn_id")
_SCHEMAS: "WeakKeyDictionary[Flow[..., Any], dict[str, Any]]" = WeakKeyDictionary()
_PLACEHOLDER = re.compile(r"\{\{\s*\$\w+\s*\}\}|\{\{\s*code\.\w+\s*\}\}")


def find_problems(prefect_file: Path | None = None, automations_file: Path | None = None) -> list[str]:
    """Return a sentence for each mistake.

    Args:
        prefect_file: The file to read; by default that of the working folder, or the one that comes with everfit.
        automations_file: The file to read, by the same default.
    """
    problems, specs = [], []
    for path in spec_files():
        try:
            spec = load_spec_file(path)
        except SpecError as error:
            problems.append(str(error))
            continue
        specs.append(spec)
        if path.name != f"{spec.name}.yaml":
            problems.append(f"{path}: the model's name is {spec.name!r}; rename the file to {spec.name}.yaml")
        problems += [f"{path}: {problem}" for problem in _of_own_functions(spec)]
    models = [spec.name for spec in specs]
    try:
        deployments = with_schedules(files.deployments_of(files.read_prefect_file(prefect_file), models, "0"), specs)
        problems += [problem for deployment in deployments for problem in _of_deployment(deployment)]
        problems += _twice(deployments)
    except DeploymentError as error:
        problems.append(str(error))
    try:
        automations, _ = files.automations_of(
            files.read_automations_file(automations_file), models, "0" * 32, "project"
        )
        problems += [problem for automation in automations for problem in _of_automation(automation)]
    except DeploymentError as error:
        problems.append(str(error))
    return problems


def _of_own_functions(spec: "ModelSpec") -> Iterator[str]:
    """Yield a sentence for each function of the user's own that can't be imported here."""
    for reference in sorted(set(references(spec.content()))):
        try:
            load_extension(reference)
        except ExtensionError as error:
            yield str(error)


def load_flow(entrypoint: str) -> "Flow[..., Any]":
    """Return the flow of an entrypoint, and never Prefect's placeholder for a failed import.

    Raises:
        DeploymentError: There is no such flow, or its module can't be imported.
    """
    from prefect.flows import load_flow_from_entrypoint

    try:
        return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    except Exception as error:
        raise DeploymentError(f"entrypoint {entrypoint!r} can't be loaded: {type(error).__name__}: {error}") from error


def schema_of(flow: "Flow[..., Any]", choices: Mapping[str, Sequence[str]] = MappingProxyType({})) -> dict[str, Any]:
    """Return the schema of a flow's parameters, which is made once for each flow.

    Args:
        flow: The flow.
        choices: The values among which a person chooses, by parameter.
    """
    from prefect.utilities.callables import parameter_schema

    if flow not in _SCHEMAS:
        _SCHEMAS[flow] = parameter_schema(flow).model_dump_for_openapi()
    schema = _SCHEMAS[flow]
    chosen = {name: {"enum": list(values)} for name, values in choices.items() if values}
    properties = {name: {**each, **chosen.get(name, {})} for name, each in schema["properties"].items()}
    return {**schema, "properties": properties} if chosen else schema


def _of_deployment(deployment: files.Deployment) -> Iterator[str]:
    where = f"{deployment.entrypoint} {deployment.name!r}"
    try:
        flow = load_flow(deployment.entrypoint)
    except DeploymentError as error:
        yield f"prefect.yaml: {error}"
        return
    schema = schema_of(flow, deployment.choices)
    for name in sorted(set(deployment.choices) - set(schema["properties"])):
        yield f"{where}: choices: the flow has no parameter {name!r}; it has {', '.join(schema['properties'])}"
    yield from (f"{where}: {problem}" for problem in _of_parameters(deployment.parameters, schema))
    yield from (f"{where}: pull: {problem}" for problem in _of_steps(deployment.pull))
    for schedule in deployment.schedules:
        for problem in _of_parameters(schedule.parameters, schema):
            yield f"{where}: schedule {schedule.slug!r}: {problem}"
    for trigger in deployment.triggers:
        given = deployment.parameters | (trigger.get("parameters") or {})
        for problem in _of_parameters(given, schema):
            yield f"{where}: trigger {trigger['name']!r}: {problem}"
        for name in schema.get("required", ()):
            if name not in given:
                yield f"{where}: trigger {trigger['name']!r}: the required parameter {name!r} is missing"
        yield from (f"{where}: trigger {trigger['name']!r}: {problem}" for problem in _of_events(trigger))
        yield from (
            f"{where}: trigger {trigger['name']!r}: {problem}" for problem in _of_templates(given, as_json=True)
        )
    if left := sorted(
        {placeholder for text in _texts(deployment.model_dump()) for placeholder in _PLACEHOLDER.findall(text)}
    ):
        known = (placeholders.MODEL, placeholders.MODELS, placeholders.PROJECT, placeholders.VERSION)
        yield f"{where}: {left[0]} is not a placeholder; known are {', '.join(known)}"


def _of_steps(pull: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a sentence for each step whose function does not exist here, or that gets an argument it doesn't have."""
    for step in pull:
        for name, given in step.items():
            module, _, function = name.rpartition(".")
            try:
                found = getattr(import_module(module), function)
            except (ImportError, AttributeError):
                if not (given or {}).get("requires"):
                    yield f"there is no step {name!r}; check its name, or install its package here and for workers"
                continue
            known = signature(found).parameters
            if any(each.kind is each.VAR_KEYWORD for each in known.values()):
                continue
            for argument in sorted(set(given or {}) - {*known, "id", "requires"}):
                yield f"{name} has no argument {argument!r}; it has {', '.join(known)}"


def _of_parameters(given: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    from prefect.utilities.schema_tools.validation import validate

    known = schema["properties"]
    for name in given:
        if name not in known:
            yield f"the flow has no parameter {name!r}; it has {', '.join(known)}"
    # The values of templates are known only with an event.
    fixed = {name: value for name, value in given.items() if not (isinstance(value, str) and "{{" in value)}
    for error in validate(fixed, schema, ignore_required=True):
        path = ".".join(str(part) for part in error.absolute_path)
        yield f"parameter {path}: {error.message}"


def _of_events(trigger: dict[str, Any]) -> Iterator[str]:
    for name in [*trigger.get("expect", ()), *trigger.get("after", ())]:
        if name.startswith("everfit.") and name not in event_names.EVENTS:
            yield f"there is no event {name!r}; there are {', '.join(sorted(event_names.EVENTS))}"


def _of_automation(automation: Any) -> Iterator[str]:
    content = automation.model_dump(mode="json")
    yield from (f"{automation.name!r}: {problem}" for problem in _of_events(content["trigger"]))
    for action in content["actions"]:
        yield from (f"{automation.name!r}: {problem}" for problem in _of_templates(action))


def _of_templates(value: Any, *, as_json: bool = False) -> Iterator[str]:
    for text in _texts(value):
        if "{" in text and (problem := _of_template(text, as_json=as_json)):
            yield problem


@cache
def _of_template(text: str, *, as_json: bool) -> str | None:
    """Return the problem of a template, which many models have in common."""
    from jinja2 import TemplateSyntaxError

    known = _prefects_templates()
    try:
        known.from_string(text)
    except TemplateSyntaxError as error:
        return f"{text!r} is not a valid template: {error}"
    if as_json and _LONE.fullmatch(text) and (problem := _not_json(known, text)):
        return f"{text!r} is a single expression that doesn't give JSON, as Prefect requires: {problem}"
    return None


@cache
def _prefects_templates() -> Any:
    from jinja2.sandbox import SandboxedEnvironment

    known = SandboxedEnvironment(autoescape=True)
    known.filters |= dict.fromkeys(("ui_url", "ui_resource_events_url", "flow_run_id"), str)  # Prefect's own
    return known


def _not_json(environment: Any, text: str) -> str | None:
    """Return the error of the expression with Prefect's JSON filter, for an event with and without payload."""
    occurred, some = datetime(2024, 1, 1, tzinfo=UTC), dict.fromkeys(_PAYLOAD, "x")
    for payload in ({}, some):
        event = {"id": UUID(int=0), "event": "everfit.data.arrived", "occurred": occurred, "payload": payload}
        event["resource"] = {"id": "everfit.model.some"}
        try:
            json.loads(environment.from_string("{{ " + text.strip()[2:-2].strip() + " | tojson }}").render(event=event))
        except (TypeError, ValueError) as error:
            return str(error)
    return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


def _twice(deployments: list[files.Deployment]) -> Iterator[str]:
    names = Counter((deployment.entrypoint, deployment.name) for deployment in deployments)
    triggers = Counter(str(trigger["name"]) for deployment in deployments for trigger in deployment.triggers)
    yield from (
        f"prefect.yaml: {entry} {name!r} is there {count} times" for (entry, name), count in names.items() if count > 1
    )
    yield from (
        f"prefect.yaml: trigger {name!r} is there {count} times" for name, count in triggers.items() if count > 1
    )
    for deployment in deployments:
        slugs = Counter(schedule.slug for schedule in deployment.schedules)
        yield from (
            f"{deployment.entrypoint}: schedule {slug!r} is there twice" for slug, count in slugs.items() if count > 1
        )
