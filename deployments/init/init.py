"""The steps from a look at data to a spec file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from everfit.blocks.errors import SpecError
from everfit.blocks.metrics import TaskKind
from everfit.deployments.init.look import look
from everfit.deployments.init.propose import propose
from everfit.deployments.init.times import Choose
from everfit.deployments.init.write import write
from everfit.tasks.core.spec_loading import read_spec


def init(
    data: str,
    target: str,
    *,
    event_time: str | None = None,
    label_time: str | None = None,
    key: tuple[str, ...] = (),
    name: str | None = None,
    task: TaskKind | None = None,
    output: Path | None = None,
    force: bool = False,
    file_options: Mapping[str, str | None] | None = None,
    choose: Choose | None = None,
) -> dict[str, Any]:
    """Look at the data and write a commented spec.

    Args:
        data: The path or address of the data.
        target: The column to predict.
        event_time: The column with the event's time. By default the likeliest.
        label_time: The column with the time at which the label became known. By default it follows from the data.
        key: The columns that identify a row. By default they follow from the data.
        name: The name of the model. By default it follows from the data's.
        task: The kind of prediction. By default it follows from the target.
        output: The spec file. By default it has the model's name.
        force: Whether to overwrite it.
        file_options: Settings that the files don't show: `format`, `delimiter`, `encoding`.
        choose: Asks a person where several columns may be the event time. By default the likeliest is taken.

    Returns:
        The path of the spec and the proposal, as `everfit init --json` prints it.

    Raises:
        SourceError: The data can't be read.
        SpecError: There is nothing to learn, or the spec file exists.
    """
    name = _model_name(name or _stem(data))
    path = output or Path(f"{name}.yaml")
    if path.exists() and not force:
        raise SpecError(f"{str(path)!r} exists already; give another --output, or overwrite it with --force")
    # A source's `_id` is read as `id`.
    target, key = target.lstrip("_"), tuple(name.lstrip("_") for name in key)
    event_time, label_time = (name if name is None else name.lstrip("_") for name in (event_time, label_time))
    seen = look(data, target, file_options)
    made = propose(
        seen, target, name=name, task=task, event_time=event_time, label_time=label_time, key=key, choose=choose
    )
    text = write(made, seen)
    read_spec(text, "the spec that everfit would write")  # a proposal must be a valid spec
    path.write_text(text, encoding="utf-8")
    return {
        "path": str(path),
        "model": name,
        "task": made.task,
        "rows": seen.rows,
        "key": list(made.key),
        "entity": made.entity,
        "event_time": made.event_time,
        "event_time_signs": list(made.event_time_signs),
        "label_time": made.label_time,
        "maturity": made.maturity,
        "holdout": made.holdout,
        "window": made.window,
        "features": made.features,
        "text": made.texts,
        "numbers": {name: {"unit": kind.unit, "decimal": kind.decimal} for name, kind in made.numbers.items()},
        "doubtful": made.doubtful,
        "ignored": made.ignored,
        "protected": made.protected,
        "notes": made.notes,
    }


def _stem(data: str) -> str:
    if "#" in data:
        return data.rsplit("#", 1)[1]
    parts = [part for part in re.split(r"[/\\:]", data.split("?", maxsplit=1)[0]) if part]
    stem = re.sub(r"(\.(csv|tsv|txt|data|parquet|pq|jsonl|ndjson|json|gz))+$", "", parts[-1] if parts else "model")
    if "*" in stem:
        stem = parts[-2] if len(parts) > 1 else "model"
    return stem


def _model_name(text: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")
    return name or "model"
