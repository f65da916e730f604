"""Recognise estimators whose `predict` returns the class of the highest probability."""

from typing import Any

_MODULES = (
    "sklearn.linear_model._logistic",
    "sklearn.ensemble._hist_gradient_boosting",
    "sklearn.ensemble._forest",
    "sklearn.tree",
    "everfit.tasks.models.onnx_model",
)


def predicts_most_probable(estimator: Any) -> bool:
    """Return whether the classes follow from the probabilities, so that one call gives both.

    Args:
        estimator: A fitted classifier, or a pipeline that ends with one.
    """
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    if getattr(last, "voting", None) == "soft":
        return True
    return type(last).__module__.startswith(_MODULES)
