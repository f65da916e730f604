"""A fitted pipeline with a correction of its scores, made of scikit-learn's own parts alone.

So skops loads it by the list of trusted types, and MLflow wherever scikit-learn is installed. The corrected model is a
stacking of one fitted model: its answers, brought to the scale of the correction, are the only columns of a linear
model whose coefficients are the correction.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from everfit.tasks.statistics.corrections import EDGE, Correction

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

_NAME = "champion"


def corrected(model: "Pipeline", correction: Correction) -> "Pipeline":
    """Return a fitted pipeline that answers as another one does after a correction.

    Args:
        model: The fitted pipeline; one that is corrected already gets one correction for both.
        correction: The correction; its link fits the model's task.
    """
    from sklearn.ensemble import StackingClassifier, StackingRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import LabelEncoder
    from sklearn.utils import Bunch

    if (known := parts_of(model)) is not None:
        model, correction = known[0], correction.after(known[1])
    stacking: Any
    if correction.link == "identity":
        stacking = StackingRegressor([(_NAME, model)], cv="prefit")
    else:
        stacking = StackingClassifier([(_NAME, model)], cv="prefit", stack_method="predict_proba")
        stacking._label_encoder = LabelEncoder().fit(model.classes_)  # noqa: SLF001 - as its `fit` does
        stacking.classes_ = model.classes_
    # `fit` would set these too, but it needs rows.
    stacking.estimators_ = [model]
    stacking.named_estimators_ = Bunch(**{_NAME: model})
    stacking.stack_method_ = ["predict" if correction.link == "identity" else "predict_proba"]
    stacking._n_feature_outs = [len(correction.shifts)]  # noqa: SLF001
    stacking.final_estimator_ = _linear(correction)
    stacking.feature_names_in_ = model.feature_names_in_
    return Pipeline([("estimator", stacking)])


def parts_of(model: Any) -> "tuple[Pipeline, Correction] | None":
    """Return the model and the correction that `corrected` made a pipeline of; None for any other model."""
    from sklearn.ensemble import StackingClassifier, StackingRegressor

    stacking: Any = model.steps[0][1] if len(getattr(model, "steps", ())) == 1 else None
    if not isinstance(stacking, StackingClassifier | StackingRegressor):
        return None
    if [name for name, _ in stacking.estimators] != [_NAME] or stacking.cv != "prefit":
        return None
    if isinstance(stacking, StackingRegressor):
        linear = stacking.final_estimator_
        correction = Correction(link="identity", slope=float(linear.coef_[0]), shifts=(float(linear.intercept_),))
    else:
        linear = stacking.final_estimator_.steps[-1][1]
        shifts = tuple(float(shift) for shift in linear.intercept_)
        link = "logit" if len(shifts) == 1 else "log"
        correction = Correction.model_validate({"link": link, "slope": float(linear.coef_[0, 0]), "shifts": shifts})
    return stacking.estimators_[0], correction


def _linear(correction: Correction) -> Any:
    """Return the fitted last part: the scale of the correction, and the linear model on it.

    skops finds the name of a function by the module that it says it is of. numpy's logarithm says so; SciPy's log odds
    don't, so those of two classes are the difference of two logarithms.
    """
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import FeatureUnion, Pipeline
    from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

    count, slope = len(correction.shifts), correction.slope
    linear: Any
    if correction.link == "identity":
        linear = LinearRegression()
        linear.coef_, linear.intercept_ = np.array([slope]), correction.shifts[0]
        linear.n_features_in_ = 1
        return linear
    inside = MinMaxScaler((EDGE, 1 - EDGE)).fit(np.array([[0.0] * count, [1.0] * count]))
    steps: list[tuple[str, Any]] = [("inside", inside)]
    weights = slope * np.eye(count)
    if correction.link == "logit":
        other = StandardScaler()  # the probability of the first class: one minus that of the second
        other.mean_, other.scale_, other.var_ = np.array([1.0]), np.array([-1.0]), np.array([1.0])
        other.n_features_in_, other.n_samples_seen_ = 1, 1
        steps.append(("both", FeatureUnion([("second", FunctionTransformer()), ("first", other)])))
        weights = np.array([[slope, -slope]])
    linear = LogisticRegression()
    linear.coef_, linear.intercept_ = weights, np.array(correction.shifts)
    linear.classes_ = np.arange(max(2, count))
    linear.n_features_in_ = weights.shape[1]
    return Pipeline([*steps, ("logarithm", FunctionTransformer(np.log)), ("linear", linear)])
