"""The short way through a gradient boosting: all its trees in one call, where scikit-learn makes one call a tree.

For a row or a few, scikit-learn spends nearly all its time between the trees: 0.7 ms for a hundred of them, of which
the trees themselves take some microseconds. Here they are one tree: a feature is added that says which tree is meant,
and nodes on top lead to its root. So each row is looked up once for every tree, all in one call of scikit-learn's own
predictor. For many rows it is one call a tree, without what scikit-learn does around each. Columns that the trees take
as categories are put in front and counted through before, as scikit-learn does it in a column transformer of its own.

The values are added in scikit-learn's order, so the result is the same to the last bit; it's compared before it's used.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

Floats = npt.NDArray[np.float64]

_AT_ONCE = 4_000  # rows times trees up to which one call is faster than one a tree
_PROBES = 200


class FastBoosting:
    """A fitted gradient boosting that answers as the original does.

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
        """The short way of a fitted estimator; none of one that isn't a gradient boosting, or where it differs.

        What is read of scikit-learn is not promised to stay; where it has changed, there is no short way.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        if type(estimator) not in {HistGradientBoostingClassifier, HistGradientBoostingRegressor}:
            return None
        try:
            from sklearn.ensemble._hist_gradient_boosting._predictor import _predict_from_raw_data

            short = cls(estimator, _predict_from_raw_data)
            return short if short._agrees() else None
        except (ImportError, AttributeError, KeyError, TypeError, ValueError):
            return None

    def predict_proba(self, given: Floats) -> Floats:
        """Probabilities of the classes; shape (rows, classes)."""
        return np.asarray(self._estimator._loss.predict_proba(self._raw(given)), dtype=np.float64)  # noqa: SLF001

    def predict(self, given: Floats) -> npt.NDArray[Any]:
        """The class of the highest probability, or the predicted number; shape (rows,)."""
        if self.classes_ is not None:
            return np.asarray(self.classes_[self.predict_proba(given).argmax(axis=1)])
        return np.asarray(self._estimator._loss.link.inverse(self._raw(given).ravel()))  # noqa: SLF001

    def _counted_through(self, given: Floats) -> Floats:
        """The columns as the trees want them: those of categories in front, each value as its place among the known."""
        if not self._categories:
            return given
        made = given[:, self._order]
        for position, known in enumerate(self._categories):
            values = made[:, position]
            places = np.minimum(known.searchsorted(values), len(known) - 1)
            made[:, position] = np.where(known[places] == values, places, np.nan)
        return made

    def _raw(self, given: Floats) -> Floats:
        """The sum of the trees' values; shape (rows, trees of an iteration)."""
        given = self._counted_through(given)
        rows, trees = len(given), len(self._trees)
        values = np.empty((trees, rows))
        if rows * trees <= _AT_ONCE:
            asked = np.empty((trees, rows, self._features + 1))
            asked[:, :, :-1] = given
            asked[:, :, -1] = np.arange(trees)[:, None]
            flat = asked.reshape(trees * rows, -1)
            self._predict_from(self._nodes, flat, self._subsets, self._known, self._places, 1, values.reshape(-1))
        else:
            for tree, out in zip(self._trees, values, strict=True):
                self._predict_from(tree.nodes, given, tree.raw_left_cat_bitsets, self._known, self._places, 1, out)
        total = np.broadcast_to(self._baseline.reshape(-1, 1), (self._width, rows)).copy()
        for of_iteration in values.reshape(-1, self._width, rows):
            total += of_iteration  # one after the other: rounding depends on the order, and so does being the same
        return total.T

    def _agrees(self) -> bool:
        """Whether it answers as the original does, at and around every threshold and without values."""
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
        answer = "predict" if self.classes_ is None else "predict_proba"
        # Numbers beside booleans were objects when it was fitted, and then it takes nothing else.
        kind = object if self._of_objects else np.float64
        return all(
            np.array_equal(getattr(self, answer)(rows), getattr(self._estimator, answer)(rows.astype(kind)))
            for rows in (probes, few, probes[:1])
        )


def _one_tree(trees: list[Any], features: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """All trees in one, with nodes on top that lead to the tree whose number is in the column after the features.

    Returns:
        The nodes, and the sets of categories that go left at them.
    """
    top = max(1, len(trees)) - 1
    nodes = np.zeros(top + sum(len(tree.nodes) for tree in trees), dtype=trees[0].nodes.dtype)
    roots, start, sets = [], top, 0
    for tree in trees:
        own = nodes[start : start + len(tree.nodes)]
        own[:] = tree.nodes
        inner = own["is_leaf"] == 0
        own["left"][inner] += start
        own["right"][inner] += start
        own["bitset_idx"] += sets
        sets += len(tree.raw_left_cat_bitsets)
        roots.append(start)
        start += len(tree.nodes)
    free = iter(range(top))

    def lead(first: int, last: int) -> int:
        """The node under which the trees from the first to before the last are."""
        if last - first == 1:
            return roots[first]
        place, middle = next(free), (first + last) // 2
        nodes[place]["feature_idx"], nodes[place]["num_threshold"] = features, middle - 0.5
        nodes[place]["left"], nodes[place]["right"] = lead(first, middle), lead(middle, last)
        return place

    lead(0, len(trees))
    return nodes, np.concatenate([tree.raw_left_cat_bitsets for tree in trees])


def _categories_of(estimator: Any) -> tuple[npt.NDArray[np.int64], list[Floats], bool]:
    """In which order the trees take the columns, and of the first ones, which are categories, the known values.

    The last of the three says whether those were objects, and not numbers, when it was fitted.
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
