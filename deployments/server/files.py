"""Strict reading of `prefect.yaml` and `automations.yaml`: a key that Prefect silently ignores is an error here."""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from everfit.blocks.errors import DeploymentError
from everfit.deployments.server.placeholders import NOTIFICATION, PROJECT, VERSION, filled_entries, has_placeholder
from everfit.tasks.core.unique_keys import RepeatedKeyError, UniqueKeyLoader

Kind = TypeVar("Kind", bound=BaseModel)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedule(_Entry):
    """A schedule of a deployment."""

    slug: str = Field(description="The name by which everfit finds the schedule again.")
    cron: str | None = None
    interval: float | None = Field(default=None, gt=0, description="The interval in seconds.")
    rrule: str | None = None
    timezone: str = "UTC"
    anchor_date: datetime | None = None
    day_or: bool = True
    active: bool = Field(default=True, description="Whether a new schedule is switched on.")
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        if sum(value is not None for value in (self.cron, self.interval, self.rrule)) != 1:
            raise ValueError("give exactly one of cron, interval and rrule")
        self.prefect()
        return self

    def prefect(self) -> Any:
        """Return Prefect's schedule."""
        from prefect.client.schemas.schedules import IntervalSchedule, RRuleSchedule

        if self.cron is not None:
            return _cron(self.cron, self.timezone, day_or=self.day_or)
        if self.rrule is not None:
            return RRuleSchedule(rrule=self.rrule, timezone=self.timezone)
        anchor = {} if self.anchor_date is None else {"anchor_date": self.anchor_date}
        return IntervalSchedule.model_validate({"interval": self.interval, "timezone": self.timezone, **anchor})


@cache
def _cron(cron: str, timezone: str, *, day_or: bool) -> Any:
    """Return Prefect's schedule, which reads the names of all time zones from the disk each time that one is made."""
    from prefect.client.schemas.schedules import CronSchedule

    return CronSchedule(cron=cron, timezone=timezone, day_or=day_or)


class Concurrency(_Entry):
    """The limit of concurrent runs of a deployment, and the action beyond it."""

    limit: int = Field(ge=1)
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"] = "ENQUEUE"
    grace_period_seconds: int | None = Field(default=None, ge=60, le=86_400)


class WorkPool(_Entry):
    """The work pool of a deployment."""

    name: str
    work_queue_name: str | None = None
    job_variables: dict[str, Any] = Field(default_factory=dict)


class Deployment(_Entry):
    """One entry of `prefect.yaml`."""

    name: str
    entrypoint: str = Field(
        pattern=r"^([A-Za-z_][\w.]*|[^:]+\.py:[A-Za-z_]\w*)$", description="package.module.flow, or path/file.py:flow"
    )
    version: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    parameters: dict[str, Any] = Field(default_factory=dict)
    work_pool: WorkPool
    concurrency_limit: Concurrency | None = None
    schedules: tuple[Schedule, ...] = ()
    triggers: tuple[dict[str, Any], ...] = ()
    pull: tuple[dict[str, Any], ...] = Field(
        default=(), description="Steps by which a worker gets the code. Without them it has the code installed."
    )
    enforce_parameter_schema: bool = True
    choices: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="The values among which a person chooses in the form, by parameter."
    )
    if_scheduled: bool = Field(
        default=False,
        description="Whether it is deployed only while a schedule of it is on: in the spec, or in the UI.",
    )

    @field_validator("pull")
    @classmethod
    def _are_steps(cls, pull: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        for step in pull:
            names = list(step)
            if len(names) != 1 or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", names[0]):
                raise ValueError(
                    f"a step has the keys {names!r}; give one key, the full name of its function, such as "
                    f"prefect.deployments.steps.git_clone"
                )
        return pull

    @field_validator("triggers")
    @classmethod
    def _are_prefects(cls, triggers: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        for trigger in triggers:
            if not trigger.get("name"):
                raise ValueError("a trigger has no name; give it one, since automations are found by name")
            as_trigger(trigger)
        return triggers


class PrefectFile(_Entry):
    """All of `prefect.yaml`."""

    prefect_version: str | None = Field(default=None, alias="prefect-version")
    name: str | None = None
    pull: list[dict[str, Any]] | None = Field(
        default=None,
        description="Steps by which workers get the code, for all deployments without steps of their own. It is empty "
        "where workers have the code installed.",
    )
    build: list[dict[str, Any]] = Field(default_factory=list)
    push: list[dict[str, Any]] = Field(default_factory=list)
    definitions: dict[str, Any] = Field(default_factory=dict, description="Anchors.")
    deployments: tuple[dict[str, Any], ...]


class AutomationsFile(_Entry):
    """All of `automations.yaml`."""

    definitions: dict[str, Any] = Field(default_factory=dict, description="Anchors.")
    automations: tuple[dict[str, Any], ...]


def as_trigger(entry: dict[str, Any]) -> Any:
    """Return Prefect's trigger for an entry of `prefect.yaml`.

    Raises:
        ValueError: Prefect would reject it, or ignore a key of it.
    """
    trigger: Any = _triggers().validate_python(entry)
    _no_others(entry, trigger, "a trigger")
    return trigger


@cache
def _triggers() -> Any:
    from prefect.events import DeploymentTriggerTypes
    from pydantic import TypeAdapter

    return TypeAdapter(DeploymentTriggerTypes)


def as_automation(entry: dict[str, Any]) -> Any:
    """Return Prefect's automation for an entry of `automations.yaml`.

    Raises:
        ValueError: Prefect would reject it, or ignore a key of it.
    """
    from prefect.events.actions import ActionTypes
    from prefect.events.schemas.automations import AutomationCore

    kinds = {kind.model_fields["type"].default: kind for kind in get_args(ActionTypes)}
    for action in entry["actions"]:
        if action.get("type") not in kinds:
            raise ValueError(f"there is no action {action.get('type')!r}; known are {', '.join(sorted(kinds))}")
        kinds[action["type"]].model_validate(action)  # alone, for the errors of this kind only
    automation = AutomationCore.model_validate(entry)
    _no_others(entry, automation, "an automation")
    _no_others(entry["trigger"], automation.trigger, f"{automation.name!r}: trigger")
    for written, action in zip(entry["actions"], automation.actions, strict=True):
        _no_others(written, action, f"{automation.name!r}: action")
    return automation


def _no_others(written: dict[str, Any], read: Any, what: str) -> None:
    known = type(read).model_fields
    if others := sorted(set(written) - set(known)):
        raise ValueError(f"{what} has no key {others[0]!r}; known are {', '.join(sorted(known))}")


def read_prefect_file(path: Path | None = None) -> PrefectFile:
    """Read `deployments/prefect.yaml` of the working folder, or the file that comes with everfit.

    Raises:
        DeploymentError: The file can't be read, or has an unknown key.
    """
    return _read(PrefectFile, "prefect.yaml", path)


def read_automations_file(path: Path | None = None) -> AutomationsFile:
    """Read `deployments/automations.yaml` of the working folder, or the file that comes with everfit.

    Raises:
        DeploymentError: The file can't be read, or has an unknown key.
    """
    return _read(AutomationsFile, "automations.yaml", path)


def deployments_of(
    file: PrefectFile, models: Sequence[str], version: str, project: str = "everfit"
) -> list[Deployment]:
    """Return the deployments of a file. An entry with the placeholder of the model gives one deployment per model.

    Args:
        file: The content of the file.
        models: The names of the models.
        version: The version of the code.
        project: The name of the project.

    Raises:
        DeploymentError: An entry has an unknown key, or an invalid schedule or trigger.
    """
    deployments = []
    for own in file.deployments:
        entry = {"pull": file.pull or [], **own}
        for filled in filled_entries(entry, models, {VERSION: version, PROJECT: project}):
            where = f"prefect.yaml: {entry.get('entrypoint', entry.get('name', 'an entry'))}"
            deployments.append(_validated(Deployment, filled, where))
    return deployments


def automations_of(
    file: AutomationsFile, models: Sequence[str], notification: str | None, project: str
) -> tuple[list[Any], list[str]]:
    """Return the automations of a file, and the names of those that wait for a notification block.

    Args:
        file: The content of the file.
        models: The names of the models.
        notification: The id of the notification block, or None.
        project: The name of the project.

    Raises:
        DeploymentError: An entry has an unknown key.
    """
    automations, waiting = [], []
    for entry in file.automations:
        notifies = has_placeholder(entry, NOTIFICATION)
        for filled in filled_entries(entry, models, {NOTIFICATION: notification or _NO_BLOCK, PROJECT: project}):
            try:
                automation = as_automation(filled)
            except (ValueError, KeyError, TypeError) as error:
                name = entry.get("name", "an entry")
                raise DeploymentError(f"automations.yaml: {name!r}: {_in_words(error)}") from error
            if notifies and notification is None:
                waiting.append(str(automation.name))
            else:
                automations.append(automation)
    return automations, waiting


_NO_BLOCK = "00000000-0000-0000-0000-000000000000"  # lets the entry be validated without a block


def _source(name: str, path: Path | None) -> Path | Traversable:
    if path is not None:
        return path
    own = Path("deployments", name)
    return own if own.is_file() else files("everfit.deployments") / name


def _read(kind: type[Kind], name: str, path: Path | None) -> Kind:
    source = _source(name, path)
    try:
        content = yaml.load(source.read_text(encoding="utf-8"), Loader=UniqueKeyLoader)  # noqa: S506 - it is a safe one
    except OSError as error:
        raise DeploymentError(f"{source} can't be read: {error}") from error
    except RepeatedKeyError as error:
        raise DeploymentError(f"{source}: {error}") from error
    except yaml.YAMLError as error:
        raise DeploymentError(f"{source} is not YAML: {' '.join(str(error).split())}") from error
    return _validated(kind, content, str(source))


def _validated(kind: type[Kind], content: Any, where: str) -> Kind:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise DeploymentError(f"{where}: {_in_words(error)}") from error


def _in_words(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    sentences = []
    for problem in error.errors():
        path = ".".join(str(part) for part in problem["loc"])
        message = str(problem["msg"]).removeprefix("Value error, ")
        sentences.append(
            f"{path}: there is no such key" if problem["type"] == "extra_forbidden" else f"{path}: {message}"
        )
    return "; ".join(sentences)
