"""Weights of predictions for the labelling queue: uncertain, outlying, drifted, probing and never seen rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.tasks.diagnosis.encoding import encode
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence, LabelledRows
from everfit.tasks.diagnosis.shared_rows import shared_rows
from everfit.tasks.predictions import prediction_log
from everfit.tasks.statistics.columns import codes_of, numbers_of
from everfit.tasks.statistics.profile import ColumnProfile, Profile

Floats = npt.NDArray[np.float64]


def label_weights(rows: pd.DataFrame, task: str, profile: Profile | None) -> dict[str, Floats]:
    """Return the weight of each row for each reason."""
    outlier = rows[prediction_log.OUTLIER].to_numpy(dtype=np.float64, na_value=np.nan)
    flags = rows[prediction_log.FLAG].notna() if prediction_log.FLAG in rows else pd.Series(False, index=rows.index)
    return {
        "uncertain": _uncertainty(rows, task) ** 2,
        "outlying": np.asarray(np.nan_to_num(np.clip((outlier - 0.9) / 0.1, 0, 1)) ** 2, dtype=np.float64),
        "drifted": np.zeros(len(rows)) if profile is None else drift_of_rows(rows, profile) ** 2,
        "probing": np.asarray(flags, dtype=np.float64),
    }


def _uncertainty(rows: pd.DataFrame, task: str) -> Floats:
    """Return how close the two most likely classes are, from 0 to 1; 0 for a regression."""
    if task == "binary":
        score = rows[prediction_log.SCORE].to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(np.nan_to_num(1 - np.abs(2 * score - 1)), dtype=np.float64)
    if task == "multiclass":
        ordered = np.sort(np.stack([np.asarray(row, dtype=np.float64) for row in rows[prediction_log.PROBABILITIES]]))
        return np.asarray(1 - (ordered[:, -1] - ordered[:, -2]))
    return np.zeros(len(rows))


def drift_of_rows(rows: pd.DataFrame, profile: Profile) -> Floats:
    """Return how much more frequent the values of each row are now than in training.

    Args:
        rows: Predictions to compare; shape (rows, columns).
        profile: Profile of the champion's training data.

    Returns:
        The largest log ratio over the columns; shape (rows,).
    """
    most = np.zeros(len(rows))
    for column in profile.columns:
        if column.role == "feature" and column.name in rows:
            cells = _cells(rows[column.name], column)
            before = np.append(np.asarray(column.cells, dtype=np.float64), column.missing)
            now = np.bincount(cells, minlength=len(before)).astype(np.float64)
            ratio = (now + 0.5) / (len(rows) + 1) / ((before + 0.5) / (column.rows + 1))
            most = np.maximum(most, np.log(ratio)[cells])
    return most


def never_seen(
    rows: pd.DataFrame, holdout: pd.DataFrame, texts: Sequence[str], profile: Profile | None, most: int = 20_000
) -> Floats:
    """Return 1 for rows of a kind that the hold-out hardly has, by the rule of the diagnosis, else 0; shape (rows,).

    Args:
        rows: Predictions; shape (rows, columns).
        holdout: Rows of the hold-out; shape (n, columns).
        texts: The columns of free text.
        profile: Profile of the training data, which names the features; None if there is none.
        most: The largest number of rows that are looked at, drawn by a seed; the others count as seen.
    """
    found = np.zeros(len(rows))
    features = [] if profile is None else [column.name for column in profile.columns if column.role == "feature"]
    shared = [name for name in (*features, *texts) if name in rows and name in holdout]
    if not shared or holdout.empty:
        return found
    random = np.random.default_rng(0)
    chosen = np.sort(random.permutation(len(rows))[:most])
    before, now = (
        LabelledRows(frame[shared].reset_index(drop=True), np.zeros(len(frame)))
        for frame in (holdout, rows.iloc[chosen])
    )
    own = tuple(name for name in shared if name not in texts)
    evidence = DiagnosisEvidence(before, now, own, tuple(name for name in texts if name in shared))
    encoded = encode(before.rows, now.rows, evidence.columns, evidence.texts)
    sides = shared_rows(evidence, encoded)
    found[chosen] = sides.unseen[sides.is_window]
    return found


def _cells(values: "pd.Series[Any]", column: ColumnProfile) -> npt.NDArray[np.int64]:
    """Return the profile's cell of each value; the last cell is for missing values."""
    missing = len(column.cells)
    if column.kind == "numeric":
        numbers = numbers_of(values)[0]
        places = np.searchsorted(np.asarray(column.edges), numbers, side="right")
        return np.where(np.isnan(numbers), missing, places.clip(0, missing - 1)).astype(np.int64)
    codes, names = codes_of(values)
    places_of: Mapping[str, int] = {name: place for place, name in enumerate(column.categories)}
    other, unseen = missing - 2, missing - 1
    known = set(column.others)
    places = np.array([*(places_of.get(name, other if name in known else unseen) for name in names), missing])
    return np.asarray(places[codes], dtype=np.int64)
