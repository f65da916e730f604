"""Predict with a linear model by adding one number per column, without a matrix in between.

For one row, scikit-learn takes milliseconds: a frame, a column transformer, an encoder with hundreds of columns of
zeros and ones, and their product with the coefficients. All of that is a sum over the input's columns, in which each
term depends on one value alone: for a text it is one number per category, for a number a multiple of it. The terms are
computed here by transforming every category with the fitted encoder. Other pipelines have no fast path. Each fast path
is compared with the pipeline before use: apart from rounding, both give the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.scoring.fast_path.ordinal import UNSEEN, samples
from everfit.tasks.scoring.fast_path.stored import Stored, restored_classes, stored_classes

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

Floats = npt.NDArray[np.float64]

_NEAR = 1e-12

KIND, _NUMBERS, _CATEGORY = "linear", "numbers", "category"
"""Names of what a linear model and its parts are made from."""


@dataclass(frozen=True)
class _Numbers:
    """Terms of numeric columns.

    Attributes:
        names: Names of the columns.
        mean: Mean to subtract; shape (columns, 1).
        scale: Scale to divide by; shape (columns, 1).
        weights: Weights of the scaled values; shape (columns, outputs).
        missing: Terms of missing values, in place of the others; shape (columns, outputs).
    """

    names: list[str]
    mean: Floats
    scale: Floats
    weights: Floats
    missing: Floats

    def of(self, columns: Mapping[str, Sequence[Any]]) -> Floats:
        """Return the sums; shape (rows, outputs)."""
        values = np.array([columns[name] for name in self.names], dtype=np.float64)  # None becomes NaN
        scaled = (values - self.mean) / self.scale
        absent = np.isnan(values)
        if not absent.any():
            return np.asarray(scaled.T @ self.weights)
        return np.asarray(np.where(absent, 0.0, scaled).T @ self.weights + absent.T @ self.missing)

    def stored(self) -> Stored:
        """Return what they are made from."""
        numbers = {"mean": self.mean, "scale": self.scale, "weights": self.weights, "missing": self.missing}
        return Stored(_NUMBERS, {"names": self.names}, numbers)

    @classmethod
    def restored(cls, stored: Stored) -> Self:
        """Return what `stored` has taken apart."""
        return cls(list(stored.words["names"]), **stored.numbers)

    def usual(self) -> dict[str, list[float]]:
        """Return values near the training data's, by column."""
        spread = self.mean + np.array([[-1.5, -0.5, 0.0, 0.25, 2.0]]) * self.scale
        return dict(zip(self.names, spread.tolist(), strict=True))


def _of_kind(value: float, kind: str) -> float | int | bool:
    return value > 0.5 if kind == "boolean" else round(value) if kind == "long" else value


@dataclass(frozen=True)
class _Category:
    """Terms of a text column.

    Attributes:
        name: Name of the column.
        places: Row of each category in `weights`; other categories have the last row.
        weights: Terms; shape (categories + 1, outputs).
    """

    name: str
    places: dict[str | None, int]
    weights: Floats

    def of(self, columns: Mapping[str, Sequence[Any]]) -> Floats:
        """Return the terms; shape (rows, outputs)."""
        places = map(self.places.get, columns[self.name], repeat(len(self.weights) - 1))
        return np.asarray(self.weights[list(places)])

    def stored(self) -> Stored:
        """Return what they are made from."""
        words = {"name": self.name, "places": list(self.places.items())}  # a null is no name in JSON
        return Stored(_CATEGORY, words, {"weights": self.weights})

    @classmethod
    def restored(cls, stored: Stored) -> Self:
        """Return what `stored` has taken apart."""
        return cls(stored.words["name"], dict(stored.words["places"]), **stored.numbers)


class FastLinearModel:
    """A fitted linear pipeline that predicts as the original does.

    Args:
        classes: Classes of the original; None for a regression.
        start: Term of every row; shape (outputs,).
        numbers: Terms of numeric columns.
        categories: Terms of text columns.
    """

    def __init__(
        self,
        classes: npt.NDArray[Any] | None,
        start: Floats,
        numbers: Sequence[_Numbers],
        categories: Sequence[_Category],
    ) -> None:
        self.classes_ = classes
        self._start = start
        self._parts: list[_Numbers | _Category] = [*numbers, *categories]

    @classmethod
    def of(cls, pipeline: "BaseEstimator", inputs: InputSchema) -> Self | None:
        """Return the fast path of a fitted pipeline, or None if it has none with equal results."""
        from sklearn.compose import ColumnTransformer
        from sklearn.linear_model import LogisticRegression, Ridge
        from sklearn.pipeline import Pipeline

        if not isinstance(pipeline, Pipeline) or len(pipeline.steps) != 2:
            return None
        if any(column.kind == "datetime" for column in inputs.features):
            return None
        transformer, last = pipeline.steps[0][1], pipeline.steps[1][1]
        if type(last) not in {LogisticRegression, Ridge} or not isinstance(transformer, ColumnTransformer):
            return None
        try:
            parts = _parts(transformer, np.atleast_2d(last.coef_))
            if parts is None:
                return None
            start, numbers, categories = parts
            start = start + np.atleast_1d(last.intercept_)
            fast = cls(getattr(last, "classes_", None), start, numbers, categories)
            return fast if fast._agrees(pipeline, inputs) else None
        except (AttributeError, KeyError, TypeError, ValueError):
            return None  # another version of scikit-learn

    def stored(self) -> Stored:
        """Return what it is made from.

        Raises:
            NotStorableError: Its classes are neither numbers nor texts.
        """
        parts = tuple(part.stored() for part in self._parts)
        return Stored(KIND, {"classes": stored_classes(self.classes_)}, {"start": self._start}, parts)

    @classmethod
    def restored(cls, stored: Stored) -> Self:
        """Return the model that `stored` has taken apart."""
        numbers = [_Numbers.restored(part) for part in stored.parts if part.kind == _NUMBERS]
        categories = [_Category.restored(part) for part in stored.parts if part.kind == _CATEGORY]
        return cls(restored_classes(stored.words["classes"]), stored.numbers["start"], numbers, categories)

    def predict_proba(self, columns: Mapping[str, Sequence[Any]]) -> Floats:
        """Return the probabilities of the classes; shape (rows, classes)."""
        sums = self._sums(columns)
        if sums.shape[1] == 1:
            with np.errstate(over="ignore"):
                second = 1 / (1 + np.exp(-sums[:, 0]))
            return np.column_stack([1 - second, second])
        raised = np.exp(sums - sums.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    def predict(self, columns: Mapping[str, Sequence[Any]]) -> npt.NDArray[Any]:
        """Return the predicted numbers; shape (rows,)."""
        return self._sums(columns)[:, 0]

    def _sums(self, columns: Mapping[str, Sequence[Any]]) -> Floats:
        total = self._start
        for part in self._parts:
            total = total + part.of(columns)
        return total

    def _agrees(self, pipeline: Any, inputs: InputSchema) -> bool:
        """Return whether the pipeline gives the same for every category, for nulls, and for numbers of all sizes.

        Usual numbers are compared separately, because beside an extreme number the other columns don't show.
        """
        texts = {part.name: part.places for part in self._parts if isinstance(part, _Category)}
        far_out = {column.name: samples(column, texts.get(column.name)) for column in inputs.features}
        numbers = [part for part in self._parts if isinstance(part, _Numbers)]
        usual = {name: values for part in numbers for name, values in part.usual().items()}
        near = {
            column.name: [_of_kind(value, column.kind) for value in usual[column.name]] + [None] * column.nullable
            if column.name in usual
            else far_out[column.name]
            for column in inputs.features
        }
        return self._equals(near, pipeline, inputs) and self._equals(far_out, pipeline, inputs)

    def _equals(self, columns: Mapping[str, list[Any]], pipeline: Any, inputs: InputSchema) -> bool:
        rows = max(map(len, columns.values()))
        repeated = {name: (values * (rows // len(values) + 1))[:rows] for name, values in columns.items()}
        method = "predict" if self.classes_ is None else "predict_proba"
        expected = np.asarray(getattr(pipeline, method)(inputs.frame(repeated)), dtype=np.float64)
        return bool(np.allclose(getattr(self, method)(repeated), expected, rtol=_NEAR, atol=_NEAR))


def _parts(transformer: Any, weights: Floats) -> tuple[Floats, list[_Numbers], list[_Category]] | None:
    """Return the term of all rows, and the terms of numeric and of text columns.

    Args:
        transformer: The pipeline's column transformer.
        weights: Coefficients of its columns; shape (outputs, columns).
    """
    from sklearn.preprocessing import OneHotEncoder

    names = [str(name) for name in transformer.feature_names_in_]
    start, numbers, categories = np.zeros(len(weights)), [], []
    for name, step, selected in transformer.transformers_:
        if isinstance(selected, slice) or callable(selected):
            return None
        chosen = [names[item] if isinstance(item, int | np.integer) else str(item) for item in selected]
        if not chosen or (isinstance(step, str) and step == "drop"):
            continue
        part_weights = np.asarray(weights[:, transformer.output_indices_[name]].T, dtype=np.float64)
        if isinstance(step, OneHotEncoder):
            constant, terms = _of_categories(step, chosen, part_weights)
            start = start + constant
            categories += terms
        else:
            scaled = _of_numbers(step, chosen, part_weights)
            if scaled is None:
                return None
            constant, part = scaled
            start = start + constant
            numbers.append(part)
    return start, numbers, categories


def _of_categories(encoder: Any, names: Sequence[str], weights: Floats) -> tuple[Floats, list[_Category]]:
    """Transform each category, an unknown one and null with an encoder, and return their terms."""
    import pandas as pd

    def encoded(columns: dict[str, list[str | None]]) -> Floats:
        frame = pd.DataFrame({name: pd.array(values, dtype="str") for name, values in columns.items()})
        matrix = encoder.transform(frame)
        return np.asarray(matrix if isinstance(matrix, np.ndarray) else matrix.toarray(), dtype=np.float64)

    baseline = encoded({name: [UNSEEN] for name in names})
    terms = []
    for name, values in zip(names, encoder.categories_, strict=True):
        known: list[str | None] = [*(value for value in values if isinstance(value, str)), None]
        columns: dict[str, list[str | None]] = {other: [UNSEEN] * len(known) for other in names}
        columns[name] = known
        # Only this column's zeros and ones differ from the baseline, so the difference is its term.
        added = (encoded(columns) - baseline) @ weights
        places = {value: place for place, value in enumerate(known)}
        terms.append(_Category(name, places, np.vstack([added, np.zeros(weights.shape[1])])))
    return (baseline @ weights)[0], terms


def _of_numbers(step: Any, names: Sequence[str], weights: Floats) -> tuple[Floats, _Numbers] | None:
    """Return the terms of an imputer with indicators and a scaler, or None for other steps."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    if not isinstance(step, Pipeline) or [type(part) for _, part in step.steps] != [SimpleImputer, StandardScaler]:
        return None
    imputer, scaler = (part for _, part in step.steps)
    count = len(names)
    filled = np.asarray(imputer.statistics_, dtype=np.float64)
    mean, scale = np.asarray(scaler.mean_, dtype=np.float64), np.asarray(scaler.scale_, dtype=np.float64)
    indicated_columns = [] if imputer.indicator_ is None else imputer.indicator_.features_.tolist()
    if len(mean) != count + len(indicated_columns):  # the imputer has dropped a column
        return None
    indicated = (0 - mean[count:]) / scale[count:]
    constant = indicated @ weights[count:]
    missing = ((filled - mean[:count]) / scale[:count])[:, None] * weights[:count]
    for place, column in enumerate(indicated_columns, start=count):
        missing[column] += weights[place] / scale[place]
    return constant, _Numbers(list(names), mean[:count, None], scale[:count, None], weights[:count], missing)
