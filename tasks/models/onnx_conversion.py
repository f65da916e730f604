"""Convert a fitted pipeline to ONNX with skl2onnx.

Whether a model can be converted is found by trying: one without a converter, or with other results after conversion,
keeps its format (`everfit.tasks.evaluation.conversion` compares them).
"""

import copy
import warnings
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from everfit.blocks.errors import ModelError
from everfit.tasks.models.onnx_model import MISSING, OnnxFacts, with_facts

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

_OPSET = {"": 21, "ai.onnx.ml": 3}
_TREES = [
    f"Sklearn{name}{kind}" for name in ("HistGradientBoosting", "RandomForest") for kind in ("Classifier", "Regressor")
]


class ConversionError(ModelError):
    """A model can't be converted; the message says why."""


def to_onnx(model: "Pipeline", rows: pd.DataFrame) -> bytes:
    """Convert a fitted pipeline to ONNX.

    Args:
        model: The pipeline.
        rows: Rows of its features, which show the columns' types; shape (rows, features).

    Returns:
        The ONNX file.

    Raises:
        ConversionError: If the model can't be converted.
    """
    try:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    except ImportError as error:
        raise ConversionError("skl2onnx is missing: pip install 'everfit[onnx]'") from error
    _register_converters()
    model = _prepared(model)
    classes = getattr(model, "classes_", None)
    texts = tuple(str(name) for name in rows.columns if not pd.api.types.is_numeric_dtype(rows[name].dtype))
    inputs = [
        (str(name), StringTensorType([None, 1]) if name in texts else FloatTensorType([None, 1]))
        for name in rows.columns
    ]
    options = None if classes is None else {id(model): {"zipmap": False}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted = convert_sklearn(model, "everfit", inputs, options=options, target_opset=_OPSET)
    except Exception as error:  # converters raise anything
        raise ConversionError(_in_short(error)) from error
    known = () if classes is None else tuple(classes.tolist())
    return with_facts(converted, OnnxFacts(features=tuple(map(str, rows.columns)), texts=texts, classes=known))


def _prepared(model: "Pipeline") -> "Pipeline":
    """Return a copy that skl2onnx understands, and refuse what skl2onnx would silently ignore.

    Raises:
        ConversionError: If ONNX can't express a part of the model.
    """
    from sklearn.ensemble import VotingClassifier, VotingRegressor
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import OneHotEncoder

    if isinstance(model.steps[-1][1], VotingClassifier | VotingRegressor):
        raise ConversionError("an ensemble of pipelines is not converted; the service has fast paths for its members")
    model = copy.deepcopy(model)
    for part in _parts(model):
        for calibrated in getattr(part, "calibrated_classifiers_", ()):
            calibrated.estimator = getattr(calibrated.estimator, "estimator", calibrated.estimator)  # was frozen
        categorical = getattr(part, "is_categorical_", None)
        if categorical is not None and categorical.any():
            raise ConversionError(
                f"{type(part).__name__} splits on categories, but trees in ONNX split on numbers alone"
            )
        if isinstance(part, HashingVectorizer):
            raise ConversionError("the words of free text are hashed, which skl2onnx can't convert")
        if isinstance(part, SimpleImputer) and part.indicator_ is not None and len(part.indicator_.features_):
            raise ConversionError("SimpleImputer adds missing indicators, which skl2onnx can't convert")
        if isinstance(part, OneHotEncoder) and part.handle_unknown == "infrequent_if_exist":
            if any(rare is not None for rare in part.infrequent_categories_):
                raise ConversionError("OneHotEncoder maps unseen categories to the rare ones, which ONNX can't express")
            part.handle_unknown = "ignore"  # it has the same result here
            part.categories_ = [
                np.array([MISSING if category != category else category for category in known], dtype=object)  # noqa: PLR0124
                for known in part.categories_
            ]
    return model


def _parts(part: Any) -> Iterator[Any]:
    """Yield a fitted estimator and all of its parts."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    yield part
    inner: list[Any] = []
    if isinstance(part, Pipeline):
        inner = [step for _, step in part.steps]
    elif isinstance(part, ColumnTransformer):
        inner = [step for _, step, _ in part.transformers_]
    inner += [calibrated.estimator for calibrated in getattr(part, "calibrated_classifiers_", ())]
    for estimator in inner:
        yield from _parts(estimator)


def _in_short(error: Exception) -> str:
    line = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {line[:200]}"


class _MissingValues:
    """A container of nodes that adds the direction of missing values to trees.

    skl2onnx 1.20 omits it for forests, and gives booleans for gradient boosting, where protobuf takes integers only.

    Args:
        container: Container of the nodes.
        ensemble: The fitted estimator.
    """

    def __init__(self, container: Any, ensemble: Any) -> None:
        self._container, self._ensemble = container, ensemble

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *args: Any, **attributes: Any) -> None:
        """Add a node."""
        name = "nodes_missing_value_tracks_true"
        if name in attributes:
            left = attributes[name]
            if hasattr(self._ensemble, "estimators_"):
                trees = [tree.tree_.missing_go_to_left for tree in self._ensemble.estimators_]
                nodes = zip(attributes["nodes_treeids"], attributes["nodes_nodeids"], strict=True)
                left = [trees[tree][node] for tree, node in nodes]
            attributes[name] = [int(value) for value in left]
        self._container.add_node(*args, **attributes)


@cache
def _register_converters() -> None:
    """Register converters that handle missing values in trees, and those of onnxmltools for LightGBM and XGBoost."""
    from skl2onnx.common._registration import get_converter, register_converter

    for alias in _TREES:
        known = get_converter(alias)
        register_converter(alias, _with_missing_values(known), overwrite=True, options=known.get_allowed_options())
    for package in ("lightgbm", "xgboost"):
        try:
            _register_boosters(package)
        except ImportError:
            continue  # such a model will be reported as having no converter


def _with_missing_values(known: Any) -> Any:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        known(scope, operator, _MissingValues(container, operator.raw_operator))

    return convert


def _register_boosters(package: str) -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )

    if package == "lightgbm":
        from lightgbm import LGBMClassifier as Classifier
        from lightgbm import LGBMRegressor as Regressor
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm as convert
    else:
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost as convert
        from xgboost import XGBClassifier as Classifier
        from xgboost import XGBRegressor as Regressor
    options = {"zipmap": [True, False, "columns"], "nocl": [True, False]}
    update_registered_converter(
        Classifier, f"{package}Classifier", calculate_linear_classifier_output_shapes, convert, options=options
    )
    update_registered_converter(
        Regressor,
        f"{package}Regressor",
        calculate_linear_regressor_output_shapes,
        convert,
        options={"split": None} if package == "lightgbm" else None,
    )
