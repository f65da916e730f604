"""The short way to an estimator's input: categories to codes, numbers to floats, without a frame in between.

scikit-learn's column handling takes milliseconds whatever the number of rows, many times what a tree ensemble takes for
one row. What it does for the usual preprocessing (ordinal codes for texts, numbers as they are) is a look-up in
tables, and those are made here by asking the fitted encoder itself about every category. A pipeline of another form has
no short way, and before one is used it's compared with the long way.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from everfit.tasks.models.input_schema import InputColumn, InputSchema

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.preprocessing import OrdinalEncoder

UNSEEN = "\x00 a category that no training data has \x00"
"""Stands for all categories that aren't known."""

Codes = dict[str | None, float]


class FastOrdinalEncoding:
    """Makes the matrix that a pipeline's last step is given.

    Args:
        names: The inputs, in the order of the matrix's columns.
        codes: For each input the codes of its categories, and under `UNSEEN` that of others; none for numbers.
    """

    def __init__(self, names: Sequence[str], codes: Sequence[Codes | None]) -> None:
        self._columns = list(zip(names, codes, strict=True))

    @classmethod
    def of(cls, estimator: "BaseEstimator", inputs: InputSchema) -> Self | None:
        """The short way for a fitted pipeline, if it has one that gives the same as the long way."""
        from sklearn.compose import ColumnTransformer
        from sklearn.pipeline import Pipeline

        if not isinstance(estimator, Pipeline) or len(estimator.steps) != 2:
            return None
        transformer = estimator.steps[0][1]
        if not isinstance(transformer, ColumnTransformer) or any(c.kind == "datetime" for c in inputs.features):
            return None
        found = _columns_of(transformer, inputs)
        if found is None:
            return None
        short = cls([name for name, _ in found], [codes for _, codes in found])
        return short if short.agrees(transformer, inputs) else None

    def matrix(self, columns: Mapping[str, Sequence[Any]]) -> npt.NDArray[np.float64]:
        """The estimator's input.

        Args:
            columns: Checked values by column.

        Returns:
            Shape (rows, features).
        """
        rows = len(next(iter(columns.values())))
        made = np.empty((rows, len(self._columns)))
        for position, (name, codes) in enumerate(self._columns):
            values = columns[name]
            if codes is None:
                made[:, position] = np.array(values, dtype=np.float64)  # None becomes NaN
            else:
                unseen = codes[UNSEEN]
                made[:, position] = [codes.get(value, unseen) for value in values]
        return made

    def agrees(self, transformer: "BaseEstimator", inputs: InputSchema) -> bool:
        """Whether the long way gives exactly the same, for every category and for nulls."""
        repeated = self.samples(inputs)
        expected = transformer.transform(inputs.frame(repeated))
        if not isinstance(expected, np.ndarray):
            return False
        # Numbers beside booleans come as objects; the estimator makes the same floats of them.
        return np.array_equal(self.matrix(repeated), expected.astype(np.float64), equal_nan=True)

    def samples(self, inputs: InputSchema) -> dict[str, list[Any]]:
        """Checked columns with every category, with nulls, and with numbers of all sizes."""
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
    found: list[tuple[str, Codes | None]] = []
    for _, step, selected in transformer.transformers_:
        if isinstance(selected, slice) or callable(selected):
            return None
        chosen = [names[one] if isinstance(one, int | np.integer) else str(one) for one in selected]
        if isinstance(step, str) and step == "drop":
            continue
        if isinstance(step, OrdinalEncoder) and all(kinds[name].kind == "string" for name in chosen):
            codes = _codes(step, chosen)
            if codes is None:
                return None
            found += zip(chosen, codes, strict=True)
        elif step == "passthrough" or (isinstance(step, FunctionTransformer) and step.func is None):
            if any(kinds[name].kind == "string" for name in chosen):
                return None
            found += [(name, None) for name in chosen]
        elif chosen:
            return None
    return found


def _codes(encoder: "OrdinalEncoder", names: Sequence[str]) -> list[Codes] | None:
    """Ask an encoder for the code of each category, of one that it doesn't know, and of null."""
    import pandas as pd

    if encoder.handle_unknown != "use_encoded_value":
        return None
    lists = [[str(one) for one in known if isinstance(one, str)] for known in encoder.categories_]
    asked = [[*known, UNSEEN, None] for known in lists]
    rows = max(map(len, asked))
    frame = pd.DataFrame(
        {name: pd.array((values * rows)[:rows], dtype="str") for name, values in zip(names, asked, strict=True)}
    )
    answers = np.asarray(encoder.transform(frame), dtype=np.float64)
    return [
        dict(zip(values, answers[: len(values), position].tolist(), strict=True))
        for position, values in enumerate(asked)
    ]


def samples(column: InputColumn, codes: Mapping[str | None, object] | None) -> list[Any]:
    """Values by which a short way is compared with the long one: of texts every category, of numbers some.

    Args:
        column: Which column.
        codes: Of its categories; none for numbers.
    """
    null = [None] if column.nullable else []
    if codes is not None:
        return [one for one in codes if one is not None] + null
    numbers: dict[str, list[Any]] = {
        "double": [0.0, -1.5, 1e300, 7.25],
        "long": [0, 1, -3, 2**40],
        "boolean": [True, False],
        "string": [*(column.categories or ("text",))],  # one that the pipeline drops
    }
    return numbers.get(column.kind, []) + null
