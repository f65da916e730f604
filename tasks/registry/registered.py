"""A version with its tags, and what can read it from a registry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from everfit.tasks.core.records import ModelVersion
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.local_copy import LocalFiles


class UnfitReaderError(Exception):
    """The registry is not of the form that a reader knows."""


@dataclass(frozen=True)
class Registered:
    """A registered version with its tags."""

    version: ModelVersion
    tags: Mapping[str, str] = field(default_factory=dict)


class RegistryReader(Protocol):
    """Reads a registry."""

    def by_alias(self, model: str, alias: str) -> Registered | None:
        """Return the version with an alias, or None.

        Raises:
            ModelError: The registry doesn't answer.
        """

    def all_aliases(self, most: int) -> Mapping[str, Mapping[str, int]] | None:
        """Return the version of each alias of each model; None if there are more models than `most`.

        Raises:
            ModelError: The registry doesn't answer.
        """

    def local_files(self, version: ModelVersion) -> LocalFiles | None:
        """Return where the files of a version are, if they are on this machine and nothing else is needed to know it.

        Raises:
            ModelError: The registry doesn't answer.
        """


def registered_of(model: str, number: object, run: str | None, created: object, tags: Mapping[str, str]) -> Registered:
    """Return a version from what a registry has of it.

    Args:
        model: Name of the model.
        number: Number of the version.
        run: Its run, if it has one.
        created: Time of its registration, in milliseconds since 1970.
        tags: Its tags.
    """
    version = model_registry.version_of(model, int(str(number)), run or "", int(str(created)), tags)
    return Registered(version, tags)
