"""docs/spec.md: every key of a model spec, as the classes of `everfit.blocks` describe it. `make docs` writes it."""

import inspect
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from support.spec_examples import EXAMPLES

from everfit.blocks.content import SpecContent
from everfit.blocks.gating import GatePolicy
from everfit.blocks.metrics import METRICS, TaskKind
from everfit.blocks.policy import format_duration
from everfit.blocks.training import CANDIDATES
from everfit.tasks.core.spec_keys import options
from everfit.tasks.gate.checks import CHECKS

DOCUMENT = Path(__file__).parents[2] / "docs" / "spec.md"

INTRODUCTION = """\
# The keys of a model spec

A spec is a YAML file, or the same content as an *Everfit Model Spec* block in Prefect. `everfit init` writes the first
one from a look at your data. An unknown key is an error that names the key you may have meant.

## The ten keys that most people need

```yaml
name: late-orders
task: binary
source: {path: orders/*.parquet}
columns:
  key: [order_id]
  event_time: ordered_at
  label_time: settled_at
  target: late
maturity: 30d
training: {holdout: 28d}
gate: {approval: always}
```

| key | what to write |
| --- | --- |
| `name` | The name of the model. |
| `task` | `binary` for two classes, `multiclass` for more, `regression` for a number. |
| `source` | The place of the data: files, a database table, a JSON API, a Delta table, or a Python function. |
| `columns.key` | The columns that identify a row, so that a row that arrives twice counts once. |
| `columns.event_time` | The time of the event to predict. Training and comparison use this time. |
| `columns.label_time` | The time at which the true label became known, if the data has it. |
| `columns.target` | The column to predict. |
| `maturity` | The time after the event at which nearly all labels are known. Younger rows are not used. |
| `training.holdout` | The newest part of the data, which compares challenger and champion. |
| `gate.approval` | `always` if a person must approve each release, `never` (the default) if the gate decides alone. |

Only `name`, `task`, `source` and `columns.target` are required. All other keys have defaults that suit most models.

A duration is a number and a unit: `30s`, `90m`, `12h`, `14d`, `2w`. A default of *none* means that the key is not set;
its description says what happens then.

`make docs` writes this page from the descriptions in `blocks/`, which the form in Prefect's UI also shows.

## All keys
"""


def document() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_part("", SpecContent, {})])


def _section(path: str, model: type[BaseModel], told: dict[type, str]) -> Iterator[str]:
    """The heading of a class, its words, and what `_part` gives."""
    yield _heading(path)
    yield f"{inspect.getdoc(model)}\n"
    if model is GatePolicy:
        yield from _gate_checks()
    yield from _part(path, model, told)


def _gate_checks() -> Iterator[str]:
    """The table of the gate's checks, in their order."""
    yield "The checks, in their order:\n"
    yield "| check | must hold | key under `gate` |"
    yield "| --- | --- | --- |"
    for check in CHECKS:
        yield f"| {check.name} | {check.summary} | {f'`{check.policy}`' if check.policy else 'always checked'} |"
    yield ""


def _part(path: str, model: type[BaseModel], told: dict[type, str]) -> Iterator[str]:
    """A class's example and table, then the sections of the classes in it; what a base of it has is told once."""
    yield from _names(path)
    if path in EXAMPLES:
        yield f"```yaml\n{inspect.cleandoc(EXAMPLES[path])}\n```\n"
    base = model.__base__
    inherited = list(base.model_fields) if base is not None and issubclass(base, BaseModel) else []
    shown = {name: field for name, field in model.model_fields.items() if name not in {"kind", *inherited}}
    elsewhere = told.setdefault(base, path) if base is not None and inherited else path
    if elsewhere == path:
        shown |= {name: model.model_fields[name] for name in inherited}
    paths = {name: f"{path}.{name}".removeprefix(".") for name in shown}
    if shown:
        yield "| key | values | default | what it does |\n| --- | --- | --- | --- |"
        for name, field in shown.items():
            yield f"| `{name}` | {_values(field, paths[name])} | {_default(field)} | {field.description} |"
        yield ""
    if elsewhere != path:
        names = ", ".join(f"`{name}`" for name in inherited)
        yield f"The keys {names} are the same as in [`{elsewhere}`](#{_anchor(elsewhere)}).\n"
    for name, field in shown.items():
        yield from _inside(paths[name], field.annotation, told)


def _inside(path: str, annotation: Any, told: dict[type, str]) -> Iterator[str]:
    """The sections of what may stand at a key."""
    if path in _SOURCE_AGAIN:
        return
    found = _classes(annotation)
    if len(found) > 1:
        yield _heading(path)
        yield "The key `kind` selects the kind; each kind has its own keys.\n"
        for each in found:
            yield from _section(f"{path}.{each.model_fields['kind'].default}", each, told)
    else:
        for each in found:
            yield from _section(path, each, told)


def _heading(path: str) -> str:
    return f"{'#' * min(2 + path.count('.'), 4)} `{path}`\n"


def _anchor(path: str) -> str:
    """How a page's link to a heading is written."""
    return "source" if path in _SOURCE_AGAIN else path.replace(".", "")


def _names(path: str) -> Iterator[str]:
    """The names that stand for something in everfit, where they are set."""
    if path == "training":
        tasks: tuple[TaskKind, ...] = get_args(TaskKind)
        yield "| task | metrics | everfit's own candidates |\n| --- | --- | --- |"
        for task in tasks:
            metrics = ", ".join(f"`{name}`" for name, facts in METRICS.items() if task in facts.tasks)
            candidates = ", ".join(f"`{name}`" for name, able in CANDIDATES.items() if task in able)
            yield f"| {task} | {metrics} | {candidates} |"
        yield ""


def _options(annotation: Any) -> list[Any]:
    """What a value may be, one by one; that it may be nothing is told as the default."""
    return [option for option in options(annotation) if option is not type(None)]


def _classes(annotation: Any) -> list[type[BaseModel]]:
    found = []
    for option in _options(annotation):
        if get_origin(option) in {dict, tuple}:
            found += [each for part in get_args(option) if part is not Ellipsis for each in _classes(part)]
        elif inspect.isclass(option) and issubclass(option, BaseModel):
            found.append(option)
    return found


_SOURCE_AGAIN = frozenset({"joins.source", "retraining.user_metrics.source"})
"""Where the keys of `source` stand once more."""

_WORDS = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`", timedelta: "duration"}


def _values(field: FieldInfo, path: str) -> str:
    """What may stand at a key, in words."""
    if len(_classes(field.annotation)) > 1:
        return f"[keys](#{_anchor(path)})"
    told = (_value(option, path) + _bounds(field, option) for option in _options(field.annotation))
    return " or ".join(dict.fromkeys(told))


def _value(option: Any, path: str) -> str:
    origin = get_origin(option)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in get_args(option))
    if origin is tuple:
        return f"list of {_inner(get_args(option)[0], path)}"
    if origin is dict:
        return f"map of names to {_inner(get_args(option)[1], path)}"
    if option is SecretStr:
        return "secret"
    if inspect.isclass(option) and issubclass(option, BaseModel):
        return f"[keys](#{_anchor(path)})"
    return _WORDS.get(option, "anything")


def _inner(annotation: Any, path: str) -> str:
    return " or ".join(dict.fromkeys(_value(option, path) for option in _options(annotation)))


def _bounds(field: FieldInfo, option: Any) -> str:
    if option not in {int, float}:
        return ""
    words = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    notes = [
        (word, getattr(note, name)) for name, word in words.items() for note in field.metadata if hasattr(note, name)
    ]
    return "".join(f" {word} {bound:,}" for word, bound in notes)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return ""
    if value is None or value in ((), {}, ""):
        return "none"
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    if isinstance(value, tuple):
        return f"`{yaml.safe_dump(list(value), default_flow_style=True, width=10_000).strip()}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
