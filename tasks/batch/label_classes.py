"""Labels of classes that the data doesn't have: a class was renamed, or a new one came up."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.tasks.statistics.columns import label
from everfit.tasks.storage.values import FAULTS, faulty
from everfit.tasks.turns.context import Context

Bools = npt.NDArray[np.bool_]

FEWEST_LABELS = 10
"""In a source, fewer labels say nothing about shares: they may all be of a new class."""

_NAMED = 5

_SURELY_SOME = 7.0
"""If this many labels are expected, none come by chance once in a thousand times (Poisson)."""

_IN_PLACE = 0.5
"""Unknown classes take the place of a known one if they have at least this part of its share."""


class RenamedClassError(DataError):
    """Labels of unknown classes have taken the place of known ones, so a class was renamed where they come from."""


@dataclass(frozen=True)
class GivenLabels:
    """Labels that were given, of known and of unknown classes.

    Attributes:
        known: Their numbers by hour of the event and class; labels without an event time are of one hour.
        unknown: The same of classes that the data doesn't have.
    """

    known: Counter[tuple[int, str]] = field(default_factory=Counter)
    unknown: Counter[tuple[int, str]] = field(default_factory=Counter)

    def __add__(self, other: "GivenLabels") -> "GivenLabels":
        return GivenLabels(self.known + other.known, self.unknown + other.unknown)

    @property
    def total(self) -> int:
        """The number of labels."""
        return self.known.total() + self.unknown.total()


def classes_in_data(context: Context) -> dict[str, float]:
    """Return the share of each class in the dataset; empty for a regression, and before the first batch."""
    spec, dataset = context.spec, context.workspace.table(context.spec.name, "dataset")
    if spec.task == "regression" or not dataset.exists():
        return {}
    target = spec.columns.target
    rows: Counter[str] = Counter()
    for frame in dataset.batches(columns=[target]):
        counts = frame[target].value_counts()
        rows.update(dict(zip(map(label, counts.index), counts.tolist(), strict=True)))
    return {name: rows[name] / rows.total() for name in sorted(rows)}


def of_unknown_class(brought: pd.Series, classes: Iterable[str]) -> Bools:
    """Return which labels are of classes that the data doesn't have; shape (rows,).

    Args:
        brought: The labels in the kind of the dataset's.
        classes: The classes in the dataset, as text; where none are known, no label is unknown.
    """
    texts = brought.map(label, na_action="ignore")
    return np.asarray(texts.notna() & ~texts.isin(list(classes))) if classes else np.zeros(len(brought), dtype=np.bool_)


def with_class_faults(rows: pd.DataFrame, target: str, classes: Iterable[str]) -> pd.DataFrame:
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


def given_labels(
    given: pd.Series, brought: pd.Series, classes: Iterable[str], times: pd.Series | None = None
) -> GivenLabels:
    """Return the numbers of the labels by hour and class.

    Args:
        given: The labels as they came in.
        brought: The labels in the kind of the dataset's; missing where they can't be brought to it.
        classes: The classes in the dataset, as text; none are known of a regression, or before the first batch.
        times: The time of each label's event; None if labels have none.
    """
    names = set(classes)
    there = given.notna().to_numpy()
    if not names or not there.any():
        return GivenLabels()
    unknown = (of_unknown_class(brought, names) | brought.isna().to_numpy())[there]
    hours = np.zeros(len(given), dtype=np.int64) if times is None else _hours(times)
    # An unknown class is named as it was given.
    as_given, as_held = (
        texts.map(label, na_action="ignore").to_numpy(dtype=object)[there] for texts in (given, brought)
    )
    counts = Counter(zip(hours[there].tolist(), np.where(unknown, as_given, as_held), unknown.tolist(), strict=True))
    return GivenLabels(
        Counter({(hour, name): rows for (hour, name, strange), rows in counts.items() if not strange}),
        Counter({(hour, name): rows for (hour, name, strange), rows in counts.items() if strange}),
    )


def refuse_other_spelling(found: GivenLabels, classes: Mapping[str, float], model: str) -> None:
    """Refuse labels of which those of unknown classes have taken the place of known ones.

    Args:
        found: The labels that were given.
        classes: The share of each class in the dataset.
        model: Its name.

    Raises:
        RenamedClassError: If most labels are of unknown classes, or a class has not come for so long that this is no
            chance, and unknown ones have.
    """
    unknown = found.unknown.total()
    if not unknown:
        return
    said = ""
    if unknown * 2 > found.total:
        said = f"{unknown:,} of {found.total:,} labels are of unknown classes"
    else:
        for name, rows, since in _without_class(found, classes):
            said = f"none of the last {rows:,} labels is {name!r}, and {since:,} of them are of unknown classes"
            break
    if said:
        strange, known = sorted({name for _, name in found.unknown}), list(classes)
        named, ours = (", ".join(map(repr, names[:_NAMED])) for names in (strange, known))
        raise RenamedClassError(
            f"{said}, such as {named}; the classes of {model} are {ours}. Write them as the data does"
        )


def _without_class(found: GivenLabels, classes: Mapping[str, float]) -> Iterable[tuple[str, int, int]]:
    """Yield the known classes whose place unknown ones have taken, with the labels since and the unknown of these."""
    last: dict[str, int] = {}
    rows: Counter[int] = Counter()
    strange: Counter[int] = Counter()
    for (hour, name), count in found.known.items():
        last[name] = max(hour, last.get(name, hour))
        rows[hour] += count
    for (hour, _), count in found.unknown.items():
        rows[hour] += count
        strange[hour] += count
    for name, share in classes.items():
        since = last.get(name, -math.inf)
        later, unknown = (sum(count for hour, count in hours.items() if hour > since) for hours in (rows, strange))
        if share * later >= _SURELY_SOME and unknown >= _IN_PLACE * share * later:
            yield name, later, unknown


def _hours(times: pd.Series) -> npt.NDArray[np.int64]:
    """Return the hour of each time since 1970; rows without a time are of the first hour."""
    known = pd.to_datetime(times, utc=True)
    seconds = (known - pd.Timestamp(0, tz="UTC")).dt.total_seconds().fillna(0).to_numpy()
    return (seconds // 3600).astype(np.int64)
