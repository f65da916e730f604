"""Predict with a converted model in ONNX Runtime, which runs no code of the model."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import ModelError
from everfit.tasks.core.records import Record

MISSING = "␀"
"""Stands for a missing text, which ONNX doesn't have."""

_FACTS = "everfit"


class OnnxFacts(Record):
    """Facts about a model that an ONNX file doesn't contain by itself."""

    features: tuple[str, ...] = Field(description="Features in the model's order.")
    texts: tuple[str, ...] = Field(description="Features that are texts; all others are numbers.")
    classes: tuple[str | int, ...] = Field(default=(), description="Classes in the order of the probabilities.")


class OnnxRegressor:
    """A converted model that predicts a number.

    Args:
        session: Session of ONNX Runtime.
        facts: Facts about the model.
        content: The bytes that the session was made of.
    """

    def __init__(self, session: Any, facts: OnnxFacts, content: bytes) -> None:
        self._session, self._facts, self._content = session, facts, content
        # Match inputs by position, because skl2onnx changes names, such as those with spaces.
        self._inputs = tuple(zip((item.name for item in session.get_inputs()), facts.features, strict=True))
        self.feature_names_in_: npt.NDArray[np.object_] = np.array(facts.features, dtype=object)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how a worker process makes it again, because a session can't be sent there."""
        return read_onnx, (self._content,)

    def predict(self, rows: pd.DataFrame) -> npt.NDArray[Any]:
        """Return the prediction of each row; shape (rows,)."""
        return np.asarray(self._run(rows)[0], dtype=np.float64).reshape(-1)

    def _run(self, rows: pd.DataFrame) -> list[Any]:
        texts = set(self._facts.texts)
        inputs = {name: _texts(rows[own]) if own in texts else _numbers(rows[own]) for name, own in self._inputs}
        return list(self._session.run(None, inputs))


class OnnxClassifier(OnnxRegressor):
    """A converted model that predicts the probabilities of classes."""

    def __init__(self, session: Any, facts: OnnxFacts, content: bytes) -> None:
        super().__init__(session, facts, content)
        self.classes_: npt.NDArray[Any] = np.array(facts.classes)

    def predict(self, rows: pd.DataFrame) -> npt.NDArray[Any]:
        """Return the most probable class of each row; shape (rows,)."""
        return np.asarray(self.classes_[self.predict_proba(rows).argmax(axis=1)])

    def predict_proba(self, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Return the probability of each class; shape (rows, classes)."""
        return np.asarray(self._run(rows)[1], dtype=np.float64)


def with_facts(model: Any, facts: OnnxFacts) -> bytes:
    """Return an ONNX model as bytes, with its facts."""
    entry = model.metadata_props.add()
    entry.key, entry.value = _FACTS, facts.canonical_json()
    return bytes(model.SerializeToString())


def read_onnx(content: bytes) -> OnnxRegressor:
    """Read a converted model.

    Raises:
        ModelError: If ONNX Runtime isn't installed, or can't read the model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            "the model is released as ONNX, but onnxruntime is not installed here: pip install 'everfit[onnx]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # threads only cost time for a few rows
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        facts = OnnxFacts.model_validate(json.loads(session.get_modelmeta().custom_metadata_map[_FACTS]))
    except Exception as error:  # ONNX Runtime's errors have no common base class
        raise ModelError(f"the ONNX model can't be read: {type(error).__name__}: {error}") from error
    return (OnnxClassifier if facts.classes else OnnxRegressor)(session, facts, content)


def _texts(column: pd.Series) -> npt.NDArray[np.object_]:
    values = column.astype(object).where(column.notna(), MISSING)
    return np.array([str(value) for value in values], dtype=object).reshape(-1, 1)


def _numbers(column: pd.Series) -> npt.NDArray[np.float32]:
    return np.asarray(column.to_numpy(dtype=np.float32, na_value=np.nan)).reshape(-1, 1)
