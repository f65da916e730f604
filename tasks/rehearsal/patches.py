"""Patches of a spec: read from a file, applied, and written into the spec's own file with a comment."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import to_jsonable_python

from everfit.blocks.errors import SpecError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.spec_loading import read_spec, yaml_content

NAME = "policy"
"""The key of a patch that names it; without it the file's name counts."""

_FIXED = frozenset({"name", "task", "source", "joins", "columns", "maturity"})
"""Keys that say what is predicted from what: under others, policies would not be compared on the same rows."""


def read_patch(path: str) -> tuple[str, dict[str, Any]]:
    """Read a policy from a file: some keys of a spec, and perhaps `policy` with its name; or a whole spec.

    Args:
        path: The path of the YAML file.

    Returns:
        The policy's name, and the keys.

    Raises:
        SpecError: The file can't be read, is empty, or changes what the model predicts by single keys.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"the policy {path!r} can't be read: {error}; check the path") from error
    content = yaml_content(text, f"the policy {path!r}")
    if not isinstance(content, dict) or not set(content) - {NAME}:
        raise SpecError(
            f"the policy {path!r} changes nothing; give keys of a spec, such as `training: {{window: all}}`"
        )
    name = str(content.pop(NAME, Path(path).stem))
    if not is_whole_spec(content) and (fixed := sorted(_FIXED & set(content))):
        raise SpecError(
            f"the policy {path!r} changes {fixed[0]!r}, so it could not be compared on the same rows; remove this key"
        )
    return name, content


def is_whole_spec(patch: Mapping[str, Any]) -> bool:
    """Return whether keys are those of a whole spec, such as the one of another branch."""
    return {"name", "task", "source", "columns"} <= set(patch)


def difference(spec: ModelSpec, patch: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the keys in which another whole spec differs; a patch of some keys as it is.

    Args:
        spec: The spec as it is.
        patch: Keys of a patch, or of a whole spec.
        where: Named in errors.

    Raises:
        SpecError: The other spec is not valid, predicts something else, or is the same.
    """
    if not is_whole_spec(patch):
        return dict(patch)
    other = read_spec(yaml.safe_dump(dict(patch)), where)
    before, after = spec.content(), other.content()
    if fixed := sorted(key for key in _FIXED if before.get(key) != after.get(key)):
        raise SpecError(
            f"{where} has another {fixed[0]!r} than the spec, so they can't be compared on the same rows; rehearse "
            "each by itself"
        )
    if not (found := _changes(before, after, other)):
        raise SpecError(f"{where} is the spec as it is, so there is nothing to compare; leave it out")
    return found


def _changes(before: Mapping[str, Any], after: Mapping[str, Any], other: Any) -> dict[str, Any]:
    """Return nested keys that differ, with the values of the other spec; its dump leaves out some that are defaults."""
    changes: dict[str, Any] = {}
    for key in dict.fromkeys([*before, *after]):
        old = before.get(key)
        new = after[key] if key in after else to_jsonable_python(getattr(other, key))
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changes[key] = _changes(old, new, getattr(other, key, None))
        else:
            changes[key] = new
    return changes


def patched(spec: ModelSpec, patch: Mapping[str, Any], where: str) -> ModelSpec:
    """Return a spec with some keys changed.

    Args:
        spec: The spec as it is.
        patch: Keys to change; nested keys keep their neighbours.
        where: Named in errors.

    Raises:
        SpecError: The result is not a valid spec.
    """
    return read_spec(yaml.safe_dump(merged(spec.content(), patch)), where)


def merged(content: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested keys with those of a patch in place of their own."""
    result = dict(content)
    for key, value in patch.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(value, Mapping) and isinstance(old, Mapping) else value
    return result


def changed_keys(patch: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield each changed key with its value, such as `training.window: all`."""
    for key, value in patch.items():
        if isinstance(value, Mapping):
            yield from changed_keys(value, f"{prefix}{key}.")
        else:
            written = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
            yield f"{prefix}{key}: {written}"


def write_patch(text: str, patch: Mapping[str, Any], comment: str) -> str:
    """Return a spec's YAML with the keys of a patch and a comment in each section; all other lines stay as they are.

    Args:
        text: The spec's YAML, in block style.
        patch: Keys of one section each, such as `{"training": {"window": "all"}}`.
        comment: One line.

    Raises:
        SpecError: A key can't be placed, since the file has its section in another style.
    """
    lines = text.splitlines()
    whole = merged(yaml_content(text, "the spec"), patch)  # deeper keys keep their neighbours
    for section, keys in patch.items():
        if not isinstance(keys, Mapping):
            lines = _with_key(lines, 0, len(lines), "", section, keys, comment)
            continue
        start = next((place for place, line in enumerate(lines) if _begins(line, section)), None)
        if start is None:
            lines += ["", f"{section}:"]
            start = len(lines) - 1
        elif not re.fullmatch(r"[^:]*:\s*(#.*)?", lines[start]):
            raise SpecError(
                f"{section!r} is written on one line; write its keys on lines of their own, then run the command again"
            )
        for number, key in enumerate(keys):
            end, why = _end_of(lines, start), comment if number == 0 else ""
            lines = _with_key(lines, start + 1, end, _indent(lines, start, end), key, whole[section][key], why)
    return "\n".join(lines) + "\n"


def _begins(line: str, key: str) -> bool:
    """Return whether a line begins with a key, which may be in quotes, as `on` often is."""
    return re.match(rf"(['\"]?){re.escape(key)}\1\s*:", line) is not None


def _end_of(lines: list[str], start: int) -> int:
    """Return the line after a section's last one."""
    end = start + 1
    for place in range(start + 1, len(lines)):
        if lines[place] and not lines[place].startswith((" ", "#")):
            break
        if lines[place].startswith(" ") and lines[place].strip():
            end = place + 1
    return end


def _indent(lines: list[str], start: int, end: int) -> str:
    for line in lines[start + 1 : end]:
        if line.strip() and not line.lstrip().startswith("#"):
            return line[: len(line) - len(line.lstrip())]
    return "  "


def _with_key(  # noqa: PLR0917 - the lines, where, what
    lines: list[str], start: int, end: int, indent: str, key: str, value: Any, comment: str
) -> list[str]:
    written = yaml.safe_dump({key: value}, default_flow_style=False, width=100).rstrip().splitlines()
    if written[0].startswith("'on'"):
        written[0] = written[0].replace("'on'", "on", 1)
    new = [*([f"{indent}# {comment}"] if comment else []), *(f"{indent}{line}" for line in written)]
    for place in range(start, end):
        if lines[place].startswith(indent) and _begins(lines[place].removeprefix(indent), key):
            after = place + 1
            while after < end and lines[after].startswith(f"{indent} ") and lines[after].strip():
                after += 1
            return [*lines[:place], *new, *lines[after:]]
    return [*lines[:end], *new, *lines[end:]]
