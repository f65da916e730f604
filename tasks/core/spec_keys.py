"""The keys of a model spec, for who has mistaken one."""

from collections.abc import Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from everfit.blocks.content import SpecContent


def hint(path: Sequence[object]) -> str:
    """What a key that there isn't could have been.

    Args:
        path: Where it stands, as pydantic tells it: keys, names and positions, and the kind of a source.

    Returns:
        The key that was meant, if one is like it, or else those that there are.
    """
    found: Any = SpecContent
    for part in path[:-1]:
        found = _step(found, part)
    known = [name for option in options(found) for name in getattr(option, "model_fields", ())]
    if not known:
        return "see docs/spec.md for the keys of a spec"
    close = get_close_matches(str(path[-1]), known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"


def _step(annotation: Any, part: object) -> Any:
    """What stands at a part of a path; None where nothing is known of it."""
    for option in options(annotation):
        if get_origin(option) is dict:
            return get_args(option)[1]
        if get_origin(option) is tuple:
            return get_args(option)[0]
        fields = getattr(option, "model_fields", {})
        if part in fields:
            return fields[part].annotation
        if "kind" in fields and fields["kind"].default == part:
            return option
    return None


def options(annotation: Any) -> list[Any]:
    """What a value of a type may be, one by one, without what is noted beside it."""
    if get_origin(annotation) is Annotated:
        return options(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return [option for part in get_args(annotation) for option in options(part)]
    return [annotation]
