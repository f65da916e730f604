"""The base of everything a person writes in a model spec."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PATTERN = r"^(\d+(?:\.\d+)?)(w|d|h|m|s)$"


def parse_duration(value: object) -> timedelta:
    """Read a duration such as `14d`, `12h`, `90m`, `2w` or `30s`.

    Raises:
        ValueError: the value is not a number followed by one of those units.
    """
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(_PATTERN, value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a duration; write a number and a unit, such as 14d, 12h, 90m or 2w")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def format_duration(value: timedelta) -> str:
    """Write a duration the way a spec does, in the largest unit that divides it."""
    seconds = value.total_seconds()
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{int(seconds // _UNITS[unit])}{unit}"
    return f"{seconds:g}s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["14d", "12h"]}),
]
"""A span of time written like `14d` or `12h`."""


def form_title(name: str, _: Any) -> str:
    """What the Prefect UI writes over a key's field: without it, the name of the class that the key's value has."""
    return name.replace("_", " ").capitalize()


class Policy(BaseModel):
    """A frozen part of a model spec; an unknown key in it is an error.

    What a key is for is said once, in its field's description: the form in Prefect shows it, and docs/spec.md has it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, field_title_generator=form_title)
