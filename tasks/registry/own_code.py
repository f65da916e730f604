"""The user's own code that a spec names or a flow of theirs is in: a digest of its modules, and their commit."""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from everfit.blocks.content import SpecContent
from everfit.blocks.extensions import is_reference
from everfit.tasks.registry.code_version import commit_of

OWN_CODE_TAG = "everfit.own_code"
"""The tag of a run with the own code of its turn, as JSON."""
COMMIT = "commit of"
MISSING = "missing"
"""The digest of code that can't be found."""


def own_code(spec: SpecContent, also: Iterable[str] = ()) -> dict[str, str]:
    """Return the SHA-256 of the user's own packages that a spec names, and the commit of each that is in a repository.

    A package counts as a whole, because its modules use each other.

    Args:
        spec: The spec.
        also: Further packages and files, as `code_name` returns them; names of commits are left out.

    Returns:
        By package, such as `shop`, and `commit of shop`; empty if the spec names no own code. A package that can't be
        found is `missing`.
    """
    found: dict[str, str] = {}
    named = {text.partition(":")[0].partition(".")[0] for text in references(spec.content())}
    for top in sorted(named | {name for name in also if not name.startswith(COMMIT)}):
        place = _place(top)
        if place is None:
            found[top] = MISSING
            continue
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        digest = hashlib.sha256()
        for file in files:
            digest.update(f"{file.relative_to(place.parent).as_posix()}\0".encode() + file.read_bytes() + b"\0")
        found[top] = digest.hexdigest()
        if (commit := commit_of(place if place.is_dir() else place.parent)) is not None:
            found[f"{COMMIT} {top}"] = commit
    return found


def code_name(function: Callable[..., Any]) -> str | None:
    """Return the package that a function of the user's own is in, or the path of its file if no import finds it.

    Args:
        function: The function of a flow, or one that a flow gives to a step.

    Returns:
        A name for `own_code`; None for a function of everfit, or of no file, such as one of a notebook.
    """
    plain = inspect.unwrap(function)
    code = getattr(plain, "__code__", None)
    file = Path(code.co_filename).resolve() if code is not None else None
    if file is None or not file.is_file() or str(plain.__module__).partition(".")[0] == "everfit":
        return None
    top = file
    while (top.parent / "__init__.py").is_file():
        top = top.parent
    place = _place(top.stem)
    if place is not None and place.resolve() == top:
        return top.stem
    return (file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file).as_posix()


def changed_packages(now: dict[str, str], then: dict[str, str]) -> list[str]:
    """Return the packages whose modules differ; a commit that changed nothing in them is no change. Pure.

    Args:
        now: The own code of now.
        then: That of a turn.
    """
    names = {name for name in (*now, *then) if not name.startswith(COMMIT)}
    return sorted(name for name in names if now.get(name) != then.get(name))


def as_tag(code: dict[str, str]) -> str:
    """Return own code as the value of a tag."""
    return json.dumps(code, sort_keys=True)


def references(value: Any) -> Iterator[str]:
    """Yield each `package.module:function` in the content of a spec.

    Args:
        value: The content, or a part of it.
    """
    if isinstance(value, dict):
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from references(part)
    elif isinstance(value, str) and is_reference(value):
        yield value


def _place(top: str) -> Path | None:
    """Return the folder of a package, or the file of a module, which may be given by its path."""
    if top.endswith(".py"):
        return Path(top) if Path(top).is_file() else None
    try:
        found = find_spec(top)
    except (ImportError, ValueError):
        return None
    if found is None:
        return None
    if found.submodule_search_locations:
        return Path(next(iter(found.submodule_search_locations)))
    return Path(found.origin) if found.origin and Path(found.origin).is_file() else None
