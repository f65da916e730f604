"""Holm's correction for several tests at once."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def holm(chances: Mapping[Name, float], level: float) -> dict[Name, bool]:
    """Return which of several tests hold at a level for all of them together.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979).

    Args:
        chances: The p-value of each test.
        level: The chance that any of them holds wrongly.

    Example:
        >>> holm({"a": 0.001, "b": 0.04, "c": 0.03}, 0.05)
        {'a': True, 'c': False, 'b': False}
    """
    found: dict[Name, bool] = {}
    for place, name in enumerate(sorted(chances, key=lambda name: chances[name])):
        found[name] = chances[name] <= level / (len(chances) - place) and all(found.values())
    return found
