"""The base class of the parts of a model spec, and durations."""

import re
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PATTERN = r"^(\d+(?:\.\d+)?)(w|d|h|m|s)$"
_ISO = TypeAdapter(timedelta)


def parse_duration(value: object) -> timedelta:
    """Read a duration such as `14d`, `12h`, `90m`, `2w` or `30s`.

    Prefect's form fills in defaults as ISO 8601 has them, such as `P30D`, so that these are read too.

    Raises:
        ValueError: The value is not a number followed by one of those units.
    """
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(_PATTERN, value.strip()) if isinstance(value, str) else None
    if match is None and isinstance(value, str) and value.startswith("P"):
        with suppress(ValidationError):
            return _ISO.validate_python(value)
    if match is None:
        raise ValueError(f"{value!r} is not a duration; give a number and a unit, such as 14d, 12h, 90m or 2w")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def format_duration(value: timedelta) -> str:
    """Return a duration as a spec writes it, in the largest unit that divides it."""
    seconds = value.total_seconds()
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{int(seconds // _UNITS[unit])}{unit}"
    return f"{seconds:g}s"


def duration_in_words(value: timedelta) -> str:
    """Return a duration for people, in the largest unit that divides it.

    Example:
        >>> duration_in_words(timedelta(days=30)), duration_in_words(timedelta(hours=1))
        ('30 days', '1 hour')
    """
    written = format_duration(value)
    count, unit = written[:-1], {"d": "day", "h": "hour", "m": "minute", "s": "second"}[written[-1]]
    return f"{count} {unit}" if count == "1" else f"{count} {unit}s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["14d", "12h"]}),
]
"""A span of time written like `14d` or `12h`."""


def form_title(name: str, _: Any) -> str:
    """Return the title of a key in the Prefect form, which would otherwise be the class name of its value."""
    return name.replace("_", " ").capitalize()


class Policy(BaseModel):
    """A frozen part of a model spec; an unknown key in it is an error.

    The description of each field is the only documentation of its key: the form in Prefect and docs/spec.md show it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, field_title_generator=form_title)
