"""Predict with gradient boosting in one call for all trees, where scikit-learn makes one call per tree.

For a few rows, scikit-learn spends nearly all its time between the trees: 0.7 ms for a hundred of them, of which the
trees themselves take some microseconds. Here they are merged into one tree: an additional feature holds the number of
the tree, and nodes on top lead to its root. So each row is looked up once per tree, all in one call of scikit-learn's
own predictor. For many rows it makes one call per tree, without scikit-learn's work around each. Categorical columns
are moved to the front and encoded, as scikit-learn does in a column transformer of its own.

The values are added in scikit-learn's order, so the result is equal to the last bit; it is compared before use.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

Floats = npt.NDArray[np.float64]

_AT_ONCE = 4_000  # number of rows times trees up to which a single call is faster
_PROBES = 200


class FastBoosting:
    """A fitted gradient boosting that predicts as the original does.

    Args:
        estimator: The original.
        predict_from: scikit-learn's own predictor of one tree.
    """

    def __init__(self, estimator: Any, predict_from: Callable[..., None]) -> None:
        self._estimator, self._predict_from = estimator, predict_from
        self.classes_ = getattr(estimator, "classes_", None)
        self._trees = [tree for iteration in estimator._predictors for tree in iteration]  # noqa: SLF001
        self._width = int(estimator.n_trees_per_iteration_)
        self._baseline: Floats = np.asarray(estimator._baseline_prediction, dtype=np.float64)  # noqa: SLF001
        self._known, self._places = estimator._bin_mapper.make_known_categories_bitsets()  # noqa: SLF001
        self._features = int(estimator.n_features_in_)
        self._nodes, self._subsets = _one_tree(self._trees, self._features)
        self._order, self._categories, self._of_objects = _categories_of(estimator)

    @classmethod
    def of(cls, estimator: "BaseEstimator") -> Self | None:
        """Return the fast path of a fitted estimator, or None if it isn't a gradient boosting or the results differ.

        scikit-learn may move the attributes that are read here; the estimator then has no fast path.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        if type(estimator) not in {HistGradientBoostingClassifier, HistGradientBoostingRegressor}:
            return None
        try:
            from sklearn.ensemble._hist_gradient_boosting._predictor import _predict_from_raw_data

            fast = cls(estimator, _predict_from_raw_data)
            return fast if fast._agrees() else None
        except (ImportError, AttributeError, KeyError, TypeError, ValueError):
            return None

    def predict_proba(self, matrix: Floats) -> Floats:
        """Return the probabilities of the classes; shape (rows, classes)."""
        return np.asarray(self._estimator._loss.predict_proba(self._raw(matrix)), dtype=np.float64)  # noqa: SLF001

    def predict(self, matrix: Floats) -> npt.NDArray[Any]:
        """Return the most probable class, or the predicted number; shape (rows,)."""
        if self.classes_ is not None:
            return np.asarray(self.classes_[self.predict_proba(matrix).argmax(axis=1)])
        return np.asarray(self._estimator._loss.link.inverse(self._raw(matrix).ravel()))  # noqa: SLF001

    def _encoded(self, matrix: Floats) -> Floats:
        """Return the columns as the trees take them: categories first, each value as its position among the known."""
        if not self._categories:
            return matrix
        encoded = matrix[:, self._order]
        for column, known in enumerate(self._categories):
            values = encoded[:, column]
            positions = np.minimum(known.searchsorted(values), len(known) - 1)
            encoded[:, column] = np.where(known[positions] == values, positions, np.nan)
        return encoded

    def _raw(self, matrix: Floats) -> Floats:
        """Return the sum of the trees' values; shape (rows, trees of an iteration)."""
        matrix = self._encoded(matrix)
        rows, trees = len(matrix), len(self._trees)
        values = np.empty((trees, rows))
        if rows * trees <= _AT_ONCE:
            repeated = np.empty((trees, rows, self._features + 1))
            repeated[:, :, :-1] = matrix
            repeated[:, :, -1] = np.arange(trees)[:, None]
            flat = repeated.reshape(trees * rows, -1)
            self._predict_from(self._nodes, flat, self._subsets, self._known, self._places, 1, values.reshape(-1))
        else:
            for tree, out in zip(self._trees, values, strict=True):
                self._predict_from(tree.nodes, matrix, tree.raw_left_cat_bitsets, self._known, self._places, 1, out)
        total = np.broadcast_to(self._baseline.reshape(-1, 1), (self._width, rows)).copy()
        for of_iteration in values.reshape(-1, self._width, rows):
            total += of_iteration  # add in scikit-learn's order, because rounding depends on it
        return total.T

    def _agrees(self) -> bool:
        """Return whether it predicts as the original does, at and around every threshold and for missing values."""
        random = np.random.default_rng(0)
        probes = np.empty((_PROBES, self._features))
        for feature in range(self._features):
            limits = [tree.nodes["num_threshold"][tree.nodes["feature_idx"] == feature] for tree in self._trees]
            known = np.unique(np.concatenate([*limits, [0.0]]))
            known = known[np.isfinite(known)]
            drawn = random.choice(known, _PROBES)
            probes[:, self._order[feature]] = random.choice([1.0, 1 - 1e-9, 1 + 1e-9, 0.5, 2.0], _PROBES) * drawn
        for feature, known in enumerate(self._categories):
            probes[:, self._order[feature]] = random.choice([*known, known[-1] + 1], _PROBES)
        probes[random.random(probes.shape) < 0.05] = np.nan
        few = probes[: max(1, _AT_ONCE // len(self._trees))]
        method = "predict" if self.classes_ is None else "predict_proba"
        # An estimator that was fitted on objects, such as numbers beside booleans, takes nothing else.
        kind = object if self._of_objects else np.float64
        return all(
            np.array_equal(getattr(self, method)(rows), getattr(self._estimator, method)(rows.astype(kind)))
            for rows in (probes, few, probes[:1])
        )


def _one_tree(trees: list[Any], features: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Merge all trees into one, with nodes on top that lead to the tree whose number is in the last column.

    Returns:
        The nodes, and the sets of categories that go left at them.
    """
    top = max(1, len(trees)) - 1
    nodes = np.zeros(top + sum(len(tree.nodes) for tree in trees), dtype=trees[0].nodes.dtype)
    roots, start, sets = [], top, 0
    for tree in trees:
        part = nodes[start : start + len(tree.nodes)]
        part[:] = tree.nodes
        inner = part["is_leaf"] == 0
        part["left"][inner] += start
        part["right"][inner] += start
        part["bitset_idx"] += sets
        sets += len(tree.raw_left_cat_bitsets)
        roots.append(start)
        start += len(tree.nodes)
    free = iter(range(top))

    def lead(first: int, last: int) -> int:
        """Return the node above the trees from the first to before the last."""
        if last - first == 1:
            return roots[first]
        place, middle = next(free), (first + last) // 2
        nodes[place]["feature_idx"], nodes[place]["num_threshold"] = features, middle - 0.5
        nodes[place]["left"], nodes[place]["right"] = lead(first, middle), lead(middle, last)
        return place

    lead(0, len(trees))
    return nodes, np.concatenate([tree.raw_left_cat_bitsets for tree in trees])


def _categories_of(estimator: Any) -> tuple[npt.NDArray[np.int64], list[Floats], bool]:
    """Return the order of the trees' columns, the known values of the categorical ones, and whether they were objects.

    The categorical columns come first in the order.
    """
    features = np.arange(int(estimator.n_features_in_))
    if estimator.is_categorical_ is None:
        return features, [], False
    encoder = estimator._preprocessor.named_transformers_["encoder"]  # noqa: SLF001
    known = [np.asarray(values, dtype=np.float64) for values in encoder.categories_]
    chosen = np.asarray(estimator.is_categorical_, dtype=np.bool_)
    order = np.concatenate([features[chosen], features[~chosen]])
    of_objects = any(values.dtype == object for values in encoder.categories_)
    return order, [values[~np.isnan(values)] for values in known], of_objects
