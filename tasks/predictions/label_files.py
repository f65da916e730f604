"""Files in which people label: CSV for a spreadsheet, tasks for Label Studio; written, and read back filled in.

What the model said is not in them: who sees an answer tends to agree with it.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import quoteattr

import pandas as pd

from everfit.blocks.errors import DataError
from everfit.tasks.predictions.prediction_log import PREDICTION_ID

Format = Literal["csv", "label-studio"]

ID, LABEL = "prediction_id", "label"

Said = list[tuple[str, str | None]]
"""Prediction and label of each answer; no label where nobody gave one."""


def write_file(rows: pd.DataFrame, path: Path, kind: Format, classes: Sequence[str], column: str) -> list[Path]:
    """Write rows to be labelled.

    Args:
        rows: With `_prediction_id` and what a person needs to see.
        path: Of the file; for Label Studio the labelling interface goes beside it, as `.xml`.
        kind: Of the file.
        classes: That a label may be; any number without them.
        column: The target's name, for the question.

    Returns:
        The files that were written.
    """
    shown = rows.rename(columns={PREDICTION_ID: ID})
    if kind == "csv":
        shown.assign(**{LABEL: ""}).to_csv(path, index=False)
        return [path]
    records = json.loads(shown.to_json(orient="records", date_format="iso"))
    tasks = [{"data": {ID: one.pop(ID), "row": one}} for one in records]
    path.write_text(json.dumps(tasks, indent=1), encoding="utf-8")
    interface = path.with_suffix(".xml")
    interface.write_text(_interface(classes, column), encoding="utf-8")
    return [path, interface]


def _interface(classes: Sequence[str], column: str) -> str:
    choices = "".join(f"\n    <Choice value={quoteattr(name)}/>" for name in classes)
    question = f'<Choices name="{LABEL}" toName="row" choice="single">{choices}\n  </Choices>'
    if not classes:
        question = f'<Number name="{LABEL}" toName="row"/>'
    header = f"<Header value={quoteattr(column)}/>"
    return f'<View>\n  <Table name="row" value="$row"/>\n  {header}\n  {question}\n</View>\n'


def read_file(path: Path) -> Said:
    """Read what people have filled in: CSV, or Label Studio's export as JSON or JSON_MIN.

    Raises:
        DataError: it's neither, or lacks what says which prediction is meant.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{str(path)!r} can't be read ({type(error).__name__}); give the file that was filled in"
        ) from error
    return _read_tasks(text, path) if text.lstrip().startswith("[") else _read_csv(path)


def _read_csv(path: Path) -> Said:
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, sep=None, engine="python", encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error) as error:
        raise DataError(f"{str(path)!r} is no CSV: {error}; save it as CSV again") from error
    if missing := [name for name in (ID, LABEL) if name not in rows]:
        raise DataError(
            f"{str(path)!r} has no column {missing[0]!r}; fill in the file that was written, and keep its header"
        )
    return [(str(name), given.strip() or None) for name, given in zip(rows[ID], rows[LABEL], strict=True)]


def _read_tasks(text: str, path: Path) -> Said:
    try:
        tasks = json.loads(text)
        return [one for task in tasks for one in _answers(task)]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        wrong = f"{type(error).__name__}: {error}"
        raise DataError(
            f"{str(path)!r} is no export of Label Studio ({wrong}); export it as JSON or JSON_MIN"
        ) from error


def _answers(task: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    if "data" not in task:  # JSON_MIN
        yield str(task[ID]), _text(task.get(LABEL))
        return
    name = str(task["data"][ID])
    given = [_value(one) for one in task.get("annotations", []) if not one.get("was_cancelled")]
    yield from ((name, one) for one in given or [None])


def _value(annotation: dict[str, Any]) -> str | None:
    for result in annotation["result"]:
        if result["from_name"] == LABEL:
            value = result["value"]
            return _text(value["choices"][0] if "choices" in value else value["number"])
    return None


def _text(given: object) -> str | None:
    if isinstance(given, dict):  # several answers, as JSON_MIN has them
        given = given.get("choices")
    if isinstance(given, list):
        raise TypeError("several labels for one row; export it as JSON, which says whose they are")
    return None if given is None or given == "" else str(given)
