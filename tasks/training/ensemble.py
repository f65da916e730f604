"""Average the predictions of several fitted candidates.

A plain mean of different models is hard to beat, and seldom worse than the best of them, whichever that will be:
J. M. Bates and C. W. J. Granger, "The combination of forecasts", Operational Research Quarterly 20 (1969); R. T.
Clemen, "Combining forecasts: a review and annotated bibliography", International Journal of Forecasting 5 (1989).

The more the members differ, the more the mean gains. Trees may group the values of a category in any way, or split them
in their order as if they were numbers. The first fits more, the second overfits less, so both are members.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from everfit.blocks.metrics import TaskKind

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


ORDERED_BOOSTING = "hist_gradient_boosting_ordered"
"""The member that takes categories as numbers."""


def ensemble_of(members: Mapping[str, "Pipeline"], task: TaskKind) -> "Pipeline":
    """Return the mean of fitted pipelines, as scikit-learn's voting estimator in a pipeline of one step.

    Args:
        members: The pipelines by name. They were fitted on the same rows, so they know the same classes.
        task: Kind of prediction: of classes, the probabilities are averaged.
    """
    from sklearn.ensemble import VotingClassifier, VotingRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import LabelEncoder

    named, fitted = list(members.items()), list(members.values())
    if task == "regression":
        voting = VotingRegressor(named)
    else:
        voting = VotingClassifier(named, voting="soft")
        voting.le_ = LabelEncoder().fit(fitted[0].classes_)
        voting.classes_ = fitted[0].classes_
    # `fit` would set these too, but it would fit the members again, without weights of rows.
    voting.estimators_ = fitted
    voting.feature_names_in_ = fitted[0].feature_names_in_
    return Pipeline([("estimator", voting)])


def members_of(model: "Pipeline") -> dict[str, "Pipeline"]:
    """Return the fitted pipelines of an ensemble by name; empty for any other model."""
    from sklearn.ensemble import VotingClassifier, VotingRegressor

    voting = model.steps[-1][1]
    if len(model.steps) != 1 or not isinstance(voting, VotingClassifier | VotingRegressor):
        return {}
    return {name: fitted for (name, _), fitted in zip(voting.estimators, voting.estimators_, strict=True)}


def groups_categories(boosting: "Pipeline") -> bool:
    """Whether trees of a fitted pipeline group the values of a category, rather than split them as numbers."""
    estimator = boosting.steps[-1][1]
    grouped = getattr(getattr(estimator, "estimator", estimator), "is_categorical_", None)
    return grouped is not None and bool(grouped.any())
