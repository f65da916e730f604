"""List what the fast paths read of scikit-learn that is not part of its public interface.

Each name is checked on a fitted estimator by `tests/unit/scoring/test_private_attributes.py`, which therefore names the
attribute and its reader on the day that a new version of scikit-learn moves it. Without them a fast path is only
slower: it is compared with the estimator before it is used.
"""

BOOSTING = "tasks/scoring/fast_path/boosting.py"
ARGMAX = "tasks/scoring/fast_path/argmax.py"

BOOSTING_ATTRIBUTES = (
    "_predictors",
    "_baseline_prediction",
    "_bin_mapper.make_known_categories_bitsets",
    "_loss.predict_proba",
    "_loss.link.inverse",
)
"""Attributes of a fitted histogram gradient boosting."""

CATEGORICAL_BOOSTING_ATTRIBUTES = ("_preprocessor.named_transformers_",)
"""Attributes of a histogram gradient boosting that was fitted on categories."""

TREE_ATTRIBUTES = ("nodes", "raw_left_cat_bitsets")
"""Attributes of a tree in `_predictors`."""

NODE_FIELDS = ("num_threshold", "feature_idx", "left", "right", "is_leaf", "bitset_idx")
"""Fields of a tree's nodes."""

PREDICTOR = ("sklearn.ensemble._hist_gradient_boosting._predictor", "_predict_from_raw_data")
"""Module and name of the function that predicts with one tree."""

PRIVATE_MODULES = (
    ("LogisticRegression", "sklearn.linear_model._logistic"),
    ("HistGradientBoostingClassifier", "sklearn.ensemble._hist_gradient_boosting"),
    ("RandomForestClassifier", "sklearn.ensemble._forest"),
    ("DecisionTreeClassifier", "sklearn.tree"),
)
"""Classifiers and the modules by which they are recognised."""
