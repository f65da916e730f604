"""Describe columns of free text by numbers that Evidently can draw, without a model or a download."""

import importlib
import os
import warnings
from collections.abc import Sequence
from typing import Any

import pandas as pd

_DESCRIPTORS = {
    "characters": "TextLength",
    "words": "WordCount",
    "sentences": "SentenceCount",
    "percent not letters": "NonLetterCharacterPercentage",
}
"""Evidently's descriptors by the name of the drawn column."""


def import_evidently() -> Any:
    """Import Evidently with its telemetry off and without the warnings that its import gives."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # By name, for Evidently carries no types.
        for name in ("evidently.metrics", "evidently.presets", "evidently.descriptors"):
            importlib.import_module(name)
        return importlib.import_module("evidently")


def described(rows: pd.DataFrame, texts: Sequence[str]) -> pd.DataFrame:
    """Return rows with Evidently's descriptors in place of columns of free text.

    A missing or empty text has none.

    Args:
        rows: Shape (rows, columns).
        texts: The columns of free text.
    """
    columns: dict[str, pd.Series] = {}
    for name in rows.columns:
        if name not in texts:
            columns[name] = rows[name]
            continue
        written = rows[name].astype("object")
        filled = written[written.notna() & (written != "")]
        numbers = _numbers(filled)
        columns |= {f"{name}: {label}": numbers[label].reindex(rows.index) for label in _DESCRIPTORS}
    return pd.DataFrame(columns, index=rows.index)


def _numbers(texts: "pd.Series[Any]") -> pd.DataFrame:
    """Return the descriptors of texts; shape (texts, descriptors)."""
    if texts.empty:
        return pd.DataFrame(columns=list(_DESCRIPTORS), index=texts.index, dtype="float64")
    evidently = import_evidently()
    frame = pd.DataFrame({"text": texts.astype(str).to_numpy(dtype=object)})
    dataset = evidently.Dataset.from_pandas(
        frame,
        data_definition=evidently.DataDefinition(text_columns=["text"]),
        descriptors=[getattr(evidently.descriptors, kind)("text", alias=label) for label, kind in _DESCRIPTORS.items()],
    )
    numbers: pd.DataFrame = dataset.as_dataframe()[list(_DESCRIPTORS)]
    return numbers.astype("float64").set_axis(texts.index)
