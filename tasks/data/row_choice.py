"""Choose rows of the dataset: those with a visible label, and those that no model is trained on."""

from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.storage.tables import KEY
from everfit.tasks.storage.values import LARGEST


def label_is_visible(frame: pd.DataFrame, spec: ModelSpec, until: datetime) -> npt.NDArray[np.bool_]:
    """Return which rows have a known and mature label at `until`; shape (rows,).

    A label is visible if its label time (or else its event time plus the maturity) is not after `until`.
    """
    labelled = frame[spec.columns.target].notna()
    visible = labelled & (frame[spec.columns.time] + spec.maturity <= until)
    if spec.columns.label_time is not None:
        visible &= frame[spec.columns.label_time] <= until  # a missing label time compares as false
    return np.asarray(visible, dtype=np.bool_)


def kept_rows(frame: pd.DataFrame, spec: ModelSpec) -> npt.NDArray[np.bool_]:
    """Return which rows no model is trained on, so that they can tell what a challenger forgets; shape (rows,).

    The choice depends on a row's key, or on its entity where the spec names one, and is the same in every turn.
    """
    limits, entity = spec.gate.forgetting, spec.columns.entity
    if limits is None:
        return np.zeros(len(frame), dtype=np.bool_)
    by_entity = entity is not None and entity in frame
    values = frame[entity].astype("str").to_numpy(dtype=object) if by_entity else frame[KEY].to_numpy(dtype=np.int64)
    drawn = pd.util.hash_array(values) if by_entity else pd.util.hash_array(values ^ np.int64(0x6B657074))
    return np.asarray(drawn < np.uint64(limits.share * 2**64), dtype=np.bool_)


def refuse_infinite(rows: pd.DataFrame, model: str) -> None:
    """Refuse infinite and too large numbers, which an earlier version of everfit took into the dataset.

    Raises:
        DataError: If a row has one.
    """
    for name in infinite_columns(rows):
        large = rows.loc[rows[name].abs() > LARGEST, name]
        raise DataError(
            f"{model}: {len(large):,} rows of the dataset have a number in {name!r} that is infinite or too large, "
            f"such as {str(large.iloc[0])!r}; move them into quarantine by `everfit quarantine {model} --recheck`"
        )


def infinite_columns(rows: pd.DataFrame) -> list[str]:
    """Return the columns with an infinite or too large number."""
    return [str(name) for name in rows.select_dtypes("float").columns if (rows[name].abs() > LARGEST).any()]


def chosen_rows(rows: pd.DataFrame, which: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Return some rows, indexed from 0; all of them without a copy, since a turn asks for its rows many times.

    Args:
        rows: Rows that are indexed from 0.
        which: Whether to return each; shape (rows,).
    """
    return rows if which.all() else rows[which].reset_index(drop=True)
