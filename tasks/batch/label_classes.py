"""Labels of classes that the data doesn't have: a class was renamed, or a new one came up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.statistics.columns import label
from everfit.tasks.storage.values import FAULTS, faulty
from everfit.tasks.turns.context import Context

Bools = npt.NDArray[np.bool_]

FEWEST_LABELS = 10
"""In a source, fewer labels say nothing about shares: they may all be of a new class."""

_NAMED = 5


class RenamedClassError(DataError):
    """Most labels are of classes that the data doesn't have, so a class was renamed where they come from."""


@dataclass(frozen=True)
class UnknownLabels:
    """Labels of unknown classes among all that were given.

    Attributes:
        given: The number of labels.
        rows: Of the unknown ones, by their class.
    """

    given: int = 0
    rows: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "UnknownLabels") -> "UnknownLabels":
        return UnknownLabels(self.given + other.given, self.rows + other.rows)


def classes_in_data(context: Context) -> list[str]:
    """Return the classes in the dataset, as text; empty for a regression, and before the first batch."""
    spec, dataset = context.spec, context.workspace.table(context.spec.name, "dataset")
    if spec.task == "regression" or not dataset.exists():
        return []
    target = spec.columns.target
    classes: set[str] = set()
    for frame in dataset.batches(columns=[target]):
        classes.update(map(label, frame[target].dropna().unique()))
    return sorted(classes)


def of_unknown_class(brought: pd.Series, classes: Sequence[str]) -> Bools:
    """Return which labels are of classes that the data doesn't have; shape (rows,).

    Args:
        brought: The labels in the kind of the dataset's.
        classes: The classes in the dataset, as text; where none are known, no label is unknown.
    """
    texts = brought.map(label, na_action="ignore")
    return np.asarray(texts.notna() & ~texts.isin(list(classes))) if classes else np.zeros(len(brought), dtype=np.bool_)


def with_class_faults(rows: pd.DataFrame, target: str, classes: Sequence[str]) -> pd.DataFrame:
    """Return rows of which those with a label of an unknown class have a fault.

    Args:
        rows: With `_faults`.
        target: The column of the labels.
        classes: The classes in the dataset, as text.
    """
    unknown = of_unknown_class(rows[target], classes) & ~faulty(rows)
    if not unknown.any():
        return rows
    faults = rows[FAULTS].fillna("").to_numpy(dtype=object).copy()
    faults[unknown] = [f"{target}: {label(value)!r} is no class of the model; " for value in rows.loc[unknown, target]]
    return rows.assign(**{FAULTS: pd.array(faults, dtype="str")})


def unknown_labels(given: pd.Series, brought: pd.Series, classes: Sequence[str]) -> UnknownLabels:
    """Return the labels of unknown classes.

    Args:
        given: The labels as they came in.
        brought: The labels in the kind of the dataset's; missing where they can't be brought to it.
        classes: The classes in the dataset, as text; none are known of a regression, or before the first batch.
    """
    if not classes:
        return UnknownLabels()
    there = given.notna().to_numpy()
    unknown = there & (of_unknown_class(brought, classes) | brought.isna().to_numpy())
    return UnknownLabels(int(there.sum()), Counter(map(label, given[unknown])))


def refuse_other_spelling(found: UnknownLabels, classes: Sequence[str], spec: ModelSpec) -> None:
    """Refuse labels that mostly are no classes of the model.

    Args:
        found: The labels of unknown classes.
        classes: The classes in the dataset, as text.
        spec: The model.

    Raises:
        RenamedClassError: If most labels are of unknown classes, which shows another spelling.
    """
    unknown = found.rows.total()
    if unknown * 2 > found.given:
        named = ", ".join(repr(value) for value in sorted(found.rows)[:_NAMED])
        raise RenamedClassError(
            f"{unknown:,} of {found.given:,} labels are of unknown classes, such as {named}; "
            f"the classes of {spec.name} are {', '.join(map(repr, classes[:_NAMED]))}. Write them as the data does"
        )
