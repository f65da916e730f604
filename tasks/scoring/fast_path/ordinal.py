"""Encode columns as the input of an estimator: categories to codes, numbers to floats, without a frame in between.

scikit-learn's column handling takes milliseconds for any number of rows, many times what a tree ensemble takes for one
row. Its work for the usual preprocessing (ordinal codes for texts, numbers unchanged) is a look-up in tables, which are
computed here by transforming every category with the fitted encoder. Other pipelines have no fast path, and each fast
path is compared with the pipeline before use.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from everfit.tasks.models.input_column import InputColumn
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.scoring.fast_path.stored import Stored

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.preprocessing import OrdinalEncoder

KIND = "ordinal"
"""Name of what an encoding is made from."""

UNSEEN = "\x00 a category that no training data has \x00"
"""Stands for all unknown categories."""

Codes = dict[str | None, float]


class FastOrdinalEncoding:
    """Makes the input matrix of a pipeline's last step.

    Args:
        names: The inputs, in the order of the matrix's columns.
        codes: Codes of each input's categories, with `UNSEEN` for unknown ones; None for numbers.
    """

    def __init__(self, names: Sequence[str], codes: Sequence[Codes | None]) -> None:
        self._columns = list(zip(names, codes, strict=True))

    @classmethod
    def of(cls, estimator: "BaseEstimator", inputs: InputSchema) -> Self | None:
        """Return the fast path of a fitted pipeline, or None if it has none with equal results."""
        from sklearn.compose import ColumnTransformer
        from sklearn.pipeline import Pipeline

        if not isinstance(estimator, Pipeline) or len(estimator.steps) != 2:
            return None
        transformer = estimator.steps[0][1]
        if not isinstance(transformer, ColumnTransformer) or any(c.kind == "datetime" for c in inputs.features):
            return None
        encoded = _columns_of(transformer, inputs)
        if encoded is None:
            return None
        fast = cls([name for name, _ in encoded], [codes for _, codes in encoded])
        return fast if fast.agrees(transformer, inputs) else None

    def matrix(self, columns: Mapping[str, Sequence[Any]]) -> npt.NDArray[np.float64]:
        """Return the estimator's input.

        Args:
            columns: Checked values by column.

        Returns:
            The matrix; shape (rows, features).
        """
        rows = len(next(iter(columns.values())))
        matrix = np.empty((rows, len(self._columns)))
        for position, (name, codes) in enumerate(self._columns):
            values = columns[name]
            if codes is None:
                matrix[:, position] = np.array(values, dtype=np.float64)  # None becomes NaN
            else:
                unseen = codes[UNSEEN]
                matrix[:, position] = [codes.get(value, unseen) for value in values]
        return matrix

    def stored(self) -> Stored:
        """Return what it is made from."""
        # An infinite or missing code is no value of JSON, and a null is no name.
        columns = [
            {"name": name, "codes": None if codes is None else [[*codes], [float.hex(code) for code in codes.values()]]}
            for name, codes in self._columns
        ]
        return Stored(KIND, {"columns": columns})

    @classmethod
    def restored(cls, stored: Stored) -> Self:
        """Return the encoding that `stored` has taken apart."""
        names, codes = [], list[Codes | None]()
        for column in stored.words["columns"]:
            names.append(column["name"])
            known = column["codes"]
            codes.append(None if known is None else dict(zip(known[0], map(float.fromhex, known[1]), strict=True)))
        return cls(names, codes)

    def agrees(self, transformer: "BaseEstimator", inputs: InputSchema) -> bool:
        """Return whether the transformer gives exactly the same, for every category and for nulls."""
        repeated = self.samples(inputs)
        expected = transformer.transform(inputs.frame(repeated))
        if not isinstance(expected, np.ndarray):
            return False
        # The transformer returns objects for numbers beside booleans; the estimator converts them to the same floats.
        return np.array_equal(self.matrix(repeated), expected.astype(np.float64), equal_nan=True)

    def samples(self, inputs: InputSchema) -> dict[str, list[Any]]:
        """Return checked columns with every category, nulls, and numbers of all sizes."""
        columns = {column.name: samples(column, codes) for column, codes in self._with_codes(inputs)}
        rows = max(map(len, columns.values()))
        return {name: (values * (rows // len(values) + 1))[:rows] for name, values in columns.items()}

    def _with_codes(self, inputs: InputSchema) -> list[tuple[InputColumn, Codes | None]]:
        codes = dict(self._columns)
        return [(column, codes.get(column.name)) for column in inputs.features]


def _columns_of(transformer: Any, inputs: InputSchema) -> list[tuple[str, Codes | None]] | None:
    from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

    kinds = {column.name: column for column in inputs.features}
    names = [str(name) for name in transformer.feature_names_in_]
    encoded: list[tuple[str, Codes | None]] = []
    for _, step, selected in transformer.transformers_:
        if isinstance(selected, slice) or callable(selected):
            return None
        chosen = [names[item] if isinstance(item, int | np.integer) else str(item) for item in selected]
        if isinstance(step, str) and step == "drop":
            continue
        if isinstance(step, OrdinalEncoder) and all(kinds[name].kind == "string" for name in chosen):
            codes = _codes(step, chosen)
            if codes is None:
                return None
            encoded += zip(chosen, codes, strict=True)
        elif step == "passthrough" or (isinstance(step, FunctionTransformer) and step.func is None):
            if any(kinds[name].kind == "string" for name in chosen):
                return None
            encoded += [(name, None) for name in chosen]
        elif chosen:
            return None
    return encoded


def _codes(encoder: "OrdinalEncoder", names: Sequence[str]) -> list[Codes] | None:
    """Transform each category, an unknown one and null with an encoder, and return their codes."""
    import pandas as pd

    if encoder.handle_unknown != "use_encoded_value":
        return None
    categories = [[value for value in known if isinstance(value, str)] for known in encoder.categories_]
    values_by_column = [[*known, UNSEEN, None] for known in categories]
    rows = max(map(len, values_by_column))
    frame = pd.DataFrame(
        {
            name: pd.array((values * rows)[:rows], dtype="str")
            for name, values in zip(names, values_by_column, strict=True)
        }
    )
    encoded = np.asarray(encoder.transform(frame), dtype=np.float64)
    return [
        dict(zip(values, encoded[: len(values), position].tolist(), strict=True))
        for position, values in enumerate(values_by_column)
    ]


def samples(column: InputColumn, codes: Mapping[str | None, object] | None) -> list[Any]:
    """Return values by which a fast path is compared with its pipeline: every category of a text, and some numbers.

    Args:
        column: The column.
        codes: Codes of its categories; None for numbers.
    """
    null = [None] if column.nullable else []
    if codes is not None:
        return [value for value in codes if value is not None] + null
    numbers: dict[str, list[Any]] = {
        "double": [0.0, -1.5, 1e300, 7.25],
        "long": [0, 1, -3, 2**40],
        "boolean": [True, False],
        "string": [*(column.categories or ("text",))],  # one that the pipeline drops
    }
    return numbers.get(column.kind, []) + null
