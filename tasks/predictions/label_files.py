"""Write files in which people label, and read them back: CSV for a spreadsheet, or tasks for Label Studio.

The files don't contain the model's predictions, because people tend to agree with a prediction that they see.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import quoteattr

import pandas as pd

from everfit.blocks.errors import DataError
from everfit.tasks.core.outside_text import cell_text
from everfit.tasks.predictions.prediction_log import PREDICTION_ID

Format = Literal["csv", "label-studio"]

ID, LABEL = "prediction_id", "label"

GivenLabels = list[tuple[str, str | None]]
"""Prediction id and label of each row; None where nobody gave a label."""


def write_file(rows: pd.DataFrame, path: Path, kind: Format, classes: Sequence[str], column: str) -> list[Path]:
    """Write rows to be labelled.

    Args:
        rows: Rows with `_prediction_id` and the columns to show.
        path: Path of the file; for Label Studio the labelling interface is written beside it, as `.xml`.
        kind: Format of the file.
        classes: Allowed labels; empty for any number.
        column: Name of the target, for the question.

    Returns:
        The files that were written.
    """
    shown = rows.rename(columns={PREDICTION_ID: ID})
    if kind == "csv":
        cells = shown.map(cell_text).rename(columns=cell_text)  # people open it in a spreadsheet
        cells.assign(**{LABEL: ""}).to_csv(path, index=False)
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


def read_file(path: Path) -> GivenLabels:
    """Read a file with labels: CSV, or Label Studio's export as JSON or JSON_MIN.

    Raises:
        DataError: If the file has another format, or doesn't name the predictions.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{str(path)!r} can't be read ({type(error).__name__}); pass the labelled file") from error
    return _read_tasks(text, path) if text.lstrip().startswith("[") else _read_csv(path)


def _read_csv(path: Path) -> GivenLabels:
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, sep=None, engine="python", encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error) as error:
        raise DataError(f"{str(path)!r} isn't CSV: {error}; save it as CSV again") from error
    if missing := [name for name in (ID, LABEL) if name not in rows]:
        raise DataError(
            f"{str(path)!r} has no column {missing[0]!r}; label the file that everfit wrote, and keep its header"
        )
    return [(str(name), values.strip() or None) for name, values in zip(rows[ID], rows[LABEL], strict=True)]


def _read_tasks(text: str, path: Path) -> GivenLabels:
    try:
        tasks = json.loads(text)
        return [one for task in tasks for one in _answers(task)]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        wrong = f"{type(error).__name__}: {error}"
        raise DataError(
            f"{str(path)!r} isn't an export of Label Studio ({wrong}); export it as JSON or JSON_MIN"
        ) from error


def _answers(task: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    if "data" not in task:  # JSON_MIN
        yield str(task[ID]), _text(task.get(LABEL))
        return
    name = str(task["data"][ID])
    labels = [_value(item) for item in task.get("annotations", []) if not item.get("was_cancelled")]
    yield from ((name, label) for label in labels or [None])


def _value(annotation: dict[str, Any]) -> str | None:
    for result in annotation["result"]:
        if result["from_name"] == LABEL:
            value = result["value"]
            return _text(value["choices"][0] if "choices" in value else value["number"])
    return None


def _text(values: object) -> str | None:
    if isinstance(values, dict):  # several answers, as JSON_MIN has them
        values = values.get("choices")
    if isinstance(values, list):
        raise TypeError("several labels for one row; export it as JSON, which names the annotators")
    return None if values is None or values == "" else str(values)
