"""The secrets in a spec, and their places in its content."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

Place = tuple[str | int, ...]
"""The keys and positions that lead to a value."""


def secrets_of(part: object, place: Place = ()) -> Iterator[tuple[Place, SecretStr]]:
    """Yield each secret of a spec, or of a part of it, with its place.

    Args:
        part: The spec, or a part of it.
        place: The place of the part.
    """
    if isinstance(part, SecretStr):
        yield place, part
    elif isinstance(part, BaseModel):
        for name in type(part).model_fields:
            yield from secrets_of(getattr(part, name), (*place, name))
    elif isinstance(part, Mapping):
        for key, value in part.items():
            yield from secrets_of(value, (*place, str(key)))
    elif isinstance(part, tuple | list):
        for number, value in enumerate(part):
            yield from secrets_of(value, (*place, number))


def put(content: Any, place: Place, value: str) -> None:
    """Write a value to a place of a spec's content.

    Args:
        content: The content; it is changed.
        place: Its place.
        value: The value.
    """
    for step in place[:-1]:
        content = content[step]
    content[place[-1]] = value
