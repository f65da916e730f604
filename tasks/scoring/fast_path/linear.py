"""The short way through a linear model: each column adds its own number, and there is no matrix in between.

What scikit-learn does for one row takes milliseconds: a frame, a column transformer, an encoder that makes hundreds of
columns of noughts and ones, and their product with the coefficients. All of that is a sum over the columns of the
input, and what a column adds depends on its value alone: for a text one of as many numbers as it has categories, for a
number a multiple of it. Those are made here by asking the fitted encoder about every category. A pipeline of another
form has no short way, and before one is used it's compared with the long way: rounding apart, both give the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.scoring.fast_path.ordinal import UNSEEN, samples

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

Floats = npt.NDArray[np.float64]

_NEAR = 1e-12


@dataclass(frozen=True)
class _Numbers:
    """What columns of numbers add.

    Attributes:
        names: Of the columns.
        mean: That is taken off each; shape (columns, 1).
        scale: By which it's divided; shape (columns, 1).
        weights: Of what is left; shape (columns, outputs).
        missing: What is added where there is no number, in place of the rest; shape (columns, outputs).
    """

    names: list[str]
    mean: Floats
    scale: Floats
    weights: Floats
    missing: Floats

    def of(self, columns: Mapping[str, Sequence[Any]]) -> Floats:
        """The sums; shape (rows, outputs)."""
        given = np.array([columns[name] for name in self.names], dtype=np.float64)  # None becomes NaN
        scaled = (given - self.mean) / self.scale
        absent = np.isnan(given)
        if not absent.any():
            return np.asarray(scaled.T @ self.weights)
        return np.asarray(np.where(absent, 0.0, scaled).T @ self.weights + absent.T @ self.missing)

    def usual(self) -> dict[str, list[float]]:
        """Values that are not far from the training data's, by column."""
        spread = self.mean + np.array([[-1.5, -0.5, 0.0, 0.25, 2.0]]) * self.scale
        return dict(zip(self.names, spread.tolist(), strict=True))


def _of_kind(value: float, kind: str) -> float | int | bool:
    return value > 0.5 if kind == "boolean" else round(value) if kind == "long" else value


@dataclass(frozen=True)
class _Category:
    """What a column of texts adds.

    Attributes:
        name: Of the column.
        places: Of each category in `weights`; those that aren't there have the last place.
        weights: Shape (categories + 1, outputs).
    """

    name: str
    places: dict[str | None, int]
    weights: Floats

    def of(self, columns: Mapping[str, Sequence[Any]]) -> Floats:
        """What is added; shape (rows, outputs)."""
        last = len(self.weights) - 1
        return np.asarray(self.weights[[self.places.get(value, last) for value in columns[self.name]]])


class FastLinearModel:
    """A fitted linear pipeline that answers as the original does.

    Args:
        estimator: The original's last step.
        start: What is added for every row; shape (outputs,).
        numbers: What columns of numbers add.
        categories: What columns of texts add.
    """

    def __init__(
        self, estimator: Any, start: Floats, numbers: Sequence[_Numbers], categories: Sequence[_Category]
    ) -> None:
        self.classes_ = getattr(estimator, "classes_", None)
        self._start = start
        self._parts: list[_Numbers | _Category] = [*numbers, *categories]

    @classmethod
    def of(cls, pipeline: "BaseEstimator", inputs: InputSchema) -> Self | None:
        """The short way for a fitted pipeline, if it has one that gives the same as the long way."""
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
            short = cls(last, start + np.atleast_1d(last.intercept_), numbers, categories)
            return short if short._agrees(pipeline, inputs) else None
        except (AttributeError, KeyError, TypeError, ValueError):
            return None  # another scikit-learn keeps it elsewhere

    def predict_proba(self, columns: Mapping[str, Sequence[Any]]) -> Floats:
        """Probabilities of the classes; shape (rows, classes)."""
        found = self._sums(columns)
        if found.shape[1] == 1:
            with np.errstate(over="ignore"):
                second = 1 / (1 + np.exp(-found[:, 0]))
            return np.column_stack([1 - second, second])
        raised = np.exp(found - found.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    def predict(self, columns: Mapping[str, Sequence[Any]]) -> npt.NDArray[Any]:
        """The predicted numbers; shape (rows,)."""
        return self._sums(columns)[:, 0]

    def _sums(self, columns: Mapping[str, Sequence[Any]]) -> Floats:
        total = self._start
        for part in self._parts:
            total = total + part.of(columns)
        return total

    def _agrees(self, pipeline: Any, inputs: InputSchema) -> bool:
        """Whether the long way gives the same, for every category, for nulls, and for numbers of all sizes.

        Among usual numbers, since beside a number from far out nothing of the other columns is to be seen.
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
        return self._gives_the_same(near, pipeline, inputs) and self._gives_the_same(far_out, pipeline, inputs)

    def _gives_the_same(self, asked: Mapping[str, list[Any]], pipeline: Any, inputs: InputSchema) -> bool:
        rows = max(map(len, asked.values()))
        repeated = {name: (values * (rows // len(values) + 1))[:rows] for name, values in asked.items()}
        answer = "predict" if self.classes_ is None else "predict_proba"
        expected = np.asarray(getattr(pipeline, answer)(inputs.frame(repeated)), dtype=np.float64)
        found = getattr(self, answer)(repeated)
        return bool(np.allclose(found, expected, rtol=_NEAR, atol=_NEAR))


def _parts(transformer: Any, weights: Floats) -> tuple[Floats, list[_Numbers], list[_Category]] | None:
    """What the columns add: to all rows alike, those of numbers, those of texts.

    Args:
        transformer: Makes the estimator's matrix.
        weights: Of the matrix's columns; shape (outputs, columns).
    """
    from sklearn.preprocessing import OneHotEncoder

    names = [str(name) for name in transformer.feature_names_in_]
    start, numbers, categories = np.zeros(len(weights)), [], []
    for name, step, selected in transformer.transformers_:
        if isinstance(selected, slice) or callable(selected):
            return None
        chosen = [names[one] if isinstance(one, int | np.integer) else str(one) for one in selected]
        if not chosen or (isinstance(step, str) and step == "drop"):
            continue
        own = np.asarray(weights[:, transformer.output_indices_[name]].T, dtype=np.float64)
        if isinstance(step, OneHotEncoder):
            constant, found = _of_categories(step, chosen, own)
            start = start + constant
            categories += found
        else:
            scaled = _of_numbers(step, chosen, own)
            if scaled is None:
                return None
            constant, part = scaled
            start = start + constant
            numbers.append(part)
    return start, numbers, categories


def _of_categories(encoder: Any, names: Sequence[str], weights: Floats) -> tuple[Floats, list[_Category]]:
    """Ask an encoder what it makes of each category, of one that it doesn't know, and of null."""
    import pandas as pd

    def encoded(columns: dict[str, list[str | None]]) -> Floats:
        frame = pd.DataFrame({name: pd.array(values, dtype="str") for name, values in columns.items()})
        made = encoder.transform(frame)
        return np.asarray(made if isinstance(made, np.ndarray) else made.toarray(), dtype=np.float64)

    nothing = encoded({name: [UNSEEN] for name in names})
    found = []
    for name, values in zip(names, encoder.categories_, strict=True):
        known: list[str | None] = [*(str(one) for one in values if isinstance(one, str)), None]
        asked: dict[str, list[str | None]] = {other: [UNSEEN] * len(known) for other in names}
        asked[name] = known
        # Only this column's noughts and ones differ, so what is left is what it adds.
        added = (encoded(asked) - nothing) @ weights
        places = {value: place for place, value in enumerate(known)}
        found.append(_Category(name, places, np.vstack([added, np.zeros(weights.shape[1])])))
    return (nothing @ weights)[0], found


def _of_numbers(step: Any, names: Sequence[str], weights: Floats) -> tuple[Floats, _Numbers] | None:
    """What an imputer with indicators and a scaler make of numbers; nothing of other steps."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    if not isinstance(step, Pipeline) or [type(part) for _, part in step.steps] != [SimpleImputer, StandardScaler]:
        return None
    imputer, scaler = (part for _, part in step.steps)
    count = len(names)
    filled = np.asarray(imputer.statistics_, dtype=np.float64)
    mean, scale = np.asarray(scaler.mean_, dtype=np.float64), np.asarray(scaler.scale_, dtype=np.float64)
    told = [] if imputer.indicator_ is None else [int(one) for one in imputer.indicator_.features_]
    if len(mean) != count + len(told):  # a column was left out
        return None
    indicated = (0 - mean[count:]) / scale[count:]
    constant = indicated @ weights[count:]
    missing = ((filled - mean[:count]) / scale[:count])[:, None] * weights[:count]
    for place, column in enumerate(told, start=count):
        missing[column] += weights[place] / scale[place]
    return constant, _Numbers(list(names), mean[:count, None], scale[:count, None], weights[:count], missing)
