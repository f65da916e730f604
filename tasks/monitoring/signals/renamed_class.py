"""Labels of classes that the model doesn't know, so many that a class was renamed where the labels come from.

Such labels say nothing about the model's quality, and no model should learn from them.
"""

from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.predictions.labels import LABEL

FEWEST_LABELS = 10
"""Fewer labels say nothing about shares."""

_SHARE = 0.5
"""Up to this share of the labels, unknown classes may be a true change."""

_NAMED = 4
"""At most this many unknown classes are named."""


def renamed_class(labelled: LabelledPredictions) -> str:
    """Return in words that a class was renamed; empty if few labels are of unknown classes.

    Args:
        labelled: Answers with their labels.
    """
    labels, unknown = int(labelled.labelled.sum()), int(labelled.unknown.sum())
    if labels < FEWEST_LABELS or unknown <= _SHARE * labels:
        return ""
    return (
        f"renamed class: {unknown:,} of {labels:,} labels are of classes that the model does not know "
        f"({named_classes(labelled)}); it knows {', '.join(map(repr, labelled.classes[:_NAMED]))}. Write them in the "
        f"source of the labels as the dataset does"
    )


def named_classes(labelled: LabelledPredictions) -> str:
    """Return the unknown classes in words, the most frequent first.

    Args:
        labelled: Answers with their labels.
    """
    names = [repr(str(name)) for name in labelled.rows.loc[labelled.unknown, LABEL].value_counts().index]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
