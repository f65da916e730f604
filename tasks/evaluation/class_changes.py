"""Classes that came up, or died out, between the rows that a model was fitted on and those it is judged on."""

import pandas as pd

from everfit.blocks.metrics import TaskKind
from everfit.tasks.statistics.scores import target_values

_TOLD = 10


def class_changes(fitted_on: pd.Series, judged_on: pd.Series, task: TaskKind) -> tuple[str, ...]:
    """Say which classes only one of both sides has.

    Args:
        fitted_on: The target of the training rows.
        judged_on: The target of the hold-out's rows.
        task: The spec's task; a regression has no classes.

    Returns:
        A sentence for each such class, at most ten of either kind; empty where both sides have the same.

    Example:
        >>> class_changes(pd.Series(["a"]), pd.Series(["a", "c"]), "multiclass")
        ("'c' is in 1 of 2 hold-out rows and in no training row: it is never answered",)
    """
    if task == "regression":
        return ()
    known, seen = (target_values(target, task).value_counts() for target in (fitted_on, judged_on))
    came_up = [
        f"{label!r} is in {count:,} of {len(judged_on):,} hold-out rows and in no training row: it is never answered"
        for label, count in seen.items()
        if label not in known.index
    ]
    died_out = [
        f"{label!r} is in {count:,} of {len(fitted_on):,} training rows and in no hold-out row: nothing shows how well "
        f"it is answered"
        for label, count in known.items()
        if label not in seen.index
    ]
    return (*came_up[:_TOLD], *died_out[:_TOLD])
