"""A converted model: answers as the fitted pipeline does, by ONNX Runtime, which runs no code of the model's own."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import ModelError
from everfit.tasks.core.records import Record

MISSING = "␀"
"""Stands for a text that is missing, of which ONNX knows nothing."""

_FACTS = "everfit"


class OnnxFacts(Record):
    """What an ONNX file doesn't say of itself."""

    features: tuple[str, ...] = Field(description="In the model's order.")
    texts: tuple[str, ...] = Field(description="Those that are texts; all others are numbers.")
    classes: tuple[str | int, ...] = Field(default=(), description="In the order of the probabilities.")


class OnnxRegressor:
    """A converted model that answers with a number.

    Args:
        session: Of ONNX Runtime.
        facts: Of the model.
    """

    def __init__(self, session: Any, facts: OnnxFacts) -> None:
        self._session, self._facts = session, facts
        # By place, for skl2onnx changes names, such as those with a space in them.
        self._inputs = tuple(zip((each.name for each in session.get_inputs()), facts.features, strict=True))
        self.feature_names_in_: npt.NDArray[np.object_] = np.array(facts.features, dtype=object)

    def predict(self, rows: pd.DataFrame) -> npt.NDArray[Any]:
        """The prediction of each row; shape (rows,)."""
        return np.asarray(self._run(rows)[0], dtype=np.float64).reshape(-1)

    def _run(self, rows: pd.DataFrame) -> list[Any]:
        texts = set(self._facts.texts)
        given = {name: _texts(rows[own]) if own in texts else _numbers(rows[own]) for name, own in self._inputs}
        return list(self._session.run(None, given))


class OnnxClassifier(OnnxRegressor):
    """A converted model that answers with the probabilities of classes."""

    def __init__(self, session: Any, facts: OnnxFacts) -> None:
        super().__init__(session, facts)
        self.classes_: npt.NDArray[Any] = np.array(facts.classes)

    def predict(self, rows: pd.DataFrame) -> npt.NDArray[Any]:
        """The most probable class of each row; shape (rows,)."""
        return np.asarray(self.classes_[self.predict_proba(rows).argmax(axis=1)])

    def predict_proba(self, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        """The probability of each class; shape (rows, classes)."""
        return np.asarray(self._run(rows)[1], dtype=np.float64)


def with_facts(model: Any, facts: OnnxFacts) -> bytes:
    """An ONNX model as bytes, with what it doesn't say of itself."""
    entry = model.metadata_props.add()
    entry.key, entry.value = _FACTS, facts.canonical_json()
    return bytes(model.SerializeToString())


def read_onnx(content: bytes) -> OnnxRegressor:
    """Read a converted model.

    Raises:
        ModelError: ONNX Runtime isn't installed, or can't read it.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            "the model is released as ONNX, and onnxruntime is missing here: pip install 'everfit[onnx]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # threads cost more than the few rows of a request
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        facts = OnnxFacts.model_validate(json.loads(session.get_modelmeta().custom_metadata_map[_FACTS]))
    except Exception as error:  # ONNX Runtime's errors have no base, and a stranger's file may break anything
        raise ModelError(f"the ONNX model can't be read: {type(error).__name__}: {error}") from error
    return OnnxClassifier(session, facts) if facts.classes else OnnxRegressor(session, facts)


def _texts(column: pd.Series) -> npt.NDArray[np.object_]:
    values = column.astype(object).where(column.notna(), MISSING)
    return np.array([str(value) for value in values], dtype=object).reshape(-1, 1)


def _numbers(column: pd.Series) -> npt.NDArray[np.float32]:
    return np.asarray(column.to_numpy(dtype=np.float32, na_value=np.nan)).reshape(-1, 1)
