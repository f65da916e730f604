"""Write files in which people label, and read them back: CSV for a spreadsheet, or tasks for Label Studio.

The files contain the model's answers only where the spec asks for it (`monitoring.label_queue.prelabels`), because
people tend to agree with an answer that they see.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from xml.sax.saxutils import quoteattr

import pandas as pd

from everfit.blocks.errors import DataError
from everfit.tasks.core.outside_text import cell_text
from everfit.tasks.predictions.prediction_log import PREDICTION_ID

Format = Literal["csv", "label-studio"]

ID, LABEL, PERSON = "prediction_id", "label", "labelled_by"
SAYS, SURE = "_model_says", "_model_sure"
"""Columns with the model's answer and how sure it is, if the file shows it."""


class GivenLabel(NamedTuple):
    """A row of a file that people have filled in.

    Attributes:
        prediction_id: The row's prediction.
        label: Its label; None where nobody gave one.
        by: The person, if the file says it.
    """

    prediction_id: str
    label: str | None
    by: str = ""


GivenLabels = list[GivenLabel]


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
    said = rows[[name for name in (SAYS, SURE) if name in rows]]
    shown = rows.drop(columns=list(said)).rename(columns={PREDICTION_ID: ID})
    if kind == "csv":
        cells = shown.map(cell_text).rename(columns=cell_text)  # people open it in a spreadsheet
        before = {str(name).lstrip("_"): said[name].map(cell_text) for name in said}
        cells.assign(**before, **{LABEL: ""}).to_csv(path, index=False)
        return [path]
    records = json.loads(shown.to_json(orient="records", date_format="iso"))
    tasks = [{"data": {ID: one.pop(ID), "row": one}} for one in records]
    answers = [_predicted(before, is_class=bool(classes)) for before in said.to_dict("records")]
    tasks = [{**task, **answer} for task, answer in zip(tasks, answers or [{}] * len(tasks), strict=True)]
    path.write_text(json.dumps(tasks, indent=1), encoding="utf-8")
    interface = path.with_suffix(".xml")
    interface.write_text(_interface(classes, column), encoding="utf-8")
    return [path, interface]


def _predicted(said: dict[Any, Any], *, is_class: bool) -> dict[str, Any]:
    """Return the model's answer as a prediction of Label Studio; an empty record if the file does not show it."""
    answer, sure = said.get(SAYS, ""), said.get(SURE, "")
    if answer == "":
        return {}
    kind, value = ("choices", [str(answer)]) if is_class else ("number", float(answer))
    result = {"from_name": LABEL, "to_name": "row", "type": kind, "value": {kind: value}}
    score = {"score": sure} if is_class and sure != "" else {}
    return {"predictions": [{"result": [result], **score}]}


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
    people = rows[PERSON] if PERSON in rows else [""] * len(rows)
    return [
        GivenLabel(str(name), value.strip() or None, str(person).strip())
        for name, value, person in zip(rows[ID], rows[LABEL], people, strict=True)
    ]


def _read_tasks(text: str, path: Path) -> GivenLabels:
    try:
        tasks = json.loads(text)
        return [one for task in tasks for one in _answers(task)]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        wrong = f"{type(error).__name__}: {error}"
        raise DataError(
            f"{str(path)!r} isn't an export of Label Studio ({wrong}); export it as JSON or JSON_MIN"
        ) from error


def _answers(task: dict[str, Any]) -> Iterator[GivenLabel]:
    if "data" not in task:  # JSON_MIN
        yield GivenLabel(str(task[ID]), _text(task.get(LABEL)), _person(task.get("annotator")))
        return
    name = str(task["data"][ID])
    given = [
        GivenLabel(name, _value(item), _person(item.get("completed_by")))
        for item in task.get("annotations", [])
        if not item.get("was_cancelled")
    ]
    yield from given or [GivenLabel(name, None)]


def _person(given: object) -> str:
    """Return who labelled a task: Label Studio writes a number, or a record with the address."""
    if isinstance(given, dict):
        given = given.get("email") or given.get("id")
    return "" if given is None else str(given)


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
