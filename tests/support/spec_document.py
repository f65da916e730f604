"""docs/spec.md: every key of a model spec, as the classes of `everfit.blocks` describe it. `make docs` writes it."""

import inspect
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

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

EXAMPLES = {
    "": """
        name: late-orders
        task: binary
        source: {path: orders/*.parquet}
        columns: {key: [order_id], event_time: ordered_at, label_time: settled_at, target: late}
        maturity: 30d
        """,
    "source.files": "source: {kind: files, path: 's3://shop/*.csv', delimiter: ';', time_format: '%d.%m.%Y %H:%M'}",
    "source.sql": "source: {kind: sql, url: env:SHOP_URL, table: sales.orders, lookback: 60d}",
    "source.http": """
        source:
          kind: http
          url: https://shop.example.com/api/orders
          parameters: {from: '{since}', to: '{until}'}
          records: data.items
          token: block:shop-token
          paging: {kind: cursor, parameter: cursor, path: meta.next}
        """,
    "source.delta": "source: {kind: delta, path: 's3://lake/orders'}",
    "source.python": "source: {kind: python, function: shop.orders:rows}",
    "joins": """
        source:
          path: orders/*.parquet
          joins:
            - source: {kind: sql, url: env:SHOP_URL, table: customer_ratings}
              on: customer_id
              as_of: valid_from
              available_at: loaded_at
              within: 30d
              columns: [rating, segment]
        """,
    "columns": """
        columns:
          key: [order_id]
          event_time: ordered_at
          label_time: settled_at
          target: late
          entity: customer_id
          ignore: [refunded]
          protected: [region]
        """,
    "expectations": """
        expectations:
          max_bad_share: 0.02
          suite:
            - type: expect_column_values_to_not_be_null
              kwargs: {column: price}
            - type: expect_column_values_to_be_between
              kwargs: {column: price, min_value: 0, mostly: 0.99}
        """,
    "training": """
        training:
          metric: average_precision
          window: best
          windows: [90d, 365d, all]
          holdout: 14d
          candidates: [hist_gradient_boosting, logistic_regression, 'shop.models:forest']
          parameters: {'shop.models:forest': {trees: 300}}
          class_weight: balanced
        """,
    "training.search": """
        training:
          search:
            trials: 40
            time: 20m
            spaces: {logistic_regression: {C: {low: 0.01, high: 10, log: true}}}
        """,
    "training.business_value": "training: {business_value: {true_positive: 40, false_positive: -5, unit: EUR}}",
    "gate": """
        gate:
          comparison: non_inferiority
          margin: 0.005
          minimum: {roc_auc: 0.65}
          approval: on_risk
        """,
    "gate.slices": "gate: {slices: {columns: [region], max_loss: 0.02}}",
    "gate.risk": "gate: {approval: on_risk, risk: {probability: medium, impact: high}}",
    "monitoring": """
        monitoring:
          window: 14d
          columns: {month: {ignore: true}, price: {method: jensenshannon, threshold: 0.2}}
          max_loss: 0.15
        """,
    "monitoring.signals": """
        monitoring:
          signals:
            - shop.signals:stock_is_fresh
            - {function: 'shop.signals:returns_share', at_most: 0.2, action: escalate}
        """,
    "monitoring.service_health": "monitoring: {service_health: {token: env:METRICS_TOKEN, max_p99_ms: 50}}",
    "retraining": """
        retraining:
          on: drift
          schedule: 90d
          cooldown: 1d
          budget: {turns: 4, per: 30d}
        """,
    "retraining.user_metrics": """
        retraining:
          user_metrics:
            - metric: acceptance_rate
              source: {kind: sql, url: env:SHOP_URL, table: acceptance}
              time: measured_at
              at_least: 0.8
        """,
    "retraining.cost_benefit": "retraining: {cost_benefit: {value_per_metric_unit: 2.5, cost_per_hour: 3, unit: EUR}}",
    "release": """
        release:
          services: ['http://localhost:8080']
          strategy: canary
          canary: {shares: [0.1, 0.5], bake_time: 2d}
        """,
    "notify": "notify: {critical: pager-duty-webhook/on-call, warning: [slack-webhook/ml-team], again: 12h}",
    "release.serving": "release: {serving: {durability: disk, outliers: refuse, rate: 50}}",
    "release.serving.abstain": "release: {serving: {intervals: 0.9, abstain: {more_than_one_class: true}}}",
    "schedules": 'schedules: {monitoring: "7 6 * * 1-5", scoring: "22 * * * *", timezone: Europe/Berlin}',
    "upkeep": "upkeep: {keep: {predictions: 365d, labels: 365d}, history: 60d}",
}
"""By section; each is part of a spec that is valid."""


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
