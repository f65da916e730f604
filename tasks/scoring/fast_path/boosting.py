"""Predict with gradient boosting in one call for all trees, where scikit-learn makes one call per tree.

For a few rows, scikit-learn spends nearly all its time between the trees: 0.7 ms for a hundred of them, of which the
trees themselves take some microseconds. Here they are merged into one tree: an additional feature holds the number of
the tree, and nodes on top lead to its root. So each row is looked up once per tree, all in one call of scikit-learn's
own predictor. For many rows it makes one call per tree, without scikit-learn's work around each. Categorical columns
are moved to the front and encoded, as scikit-learn does in a column transformer of its own.

The values are added in scikit-learn's order, so the result is equal to the last bit; it is compared before use.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from everfit.tasks.scoring.fast_path.links import LINKS, link_name
from everfit.tasks.scoring.fast_path.predictor import predictor_alone
from everfit.tasks.scoring.fast_path.stored import NotStorableError, Stored, restored_classes, stored_classes

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

Floats = npt.NDArray[np.float64]

_AT_ONCE = 4_000  # number of rows times trees up to which a single call is faster
_PROBES = 200


KIND = "boosting"
"""Name of what a gradient boosting is made from."""


@dataclass(frozen=True)
class Trees:
    """The numbers by which a fitted gradient boosting predicts.

    Attributes:
        nodes: The nodes of each tree.
        subsets: For each tree the sets of categories that go left at its nodes.
        known: The known categories of each categorical column, as bits.
        places: Place of each column in `known`.
        baseline: Value of every row before the trees; shape (trees of an iteration,).
        width: Number of the trees of an iteration.
        features: Number of columns.
        order: The trees' columns among those of the input, the categorical ones first.
        categories: The known values of the categorical columns.
        link: Name of the link function; empty for one without a name.
        classes: The classes; None for a regression.
    """

    nodes: Sequence[npt.NDArray[Any]]
    subsets: Sequence[npt.NDArray[Any]]
    known: npt.NDArray[Any]
    places: npt.NDArray[Any]
    baseline: Floats
    width: int
    features: int
    order: npt.NDArray[np.int64]
    categories: Sequence[Floats]
    link: str
    classes: npt.NDArray[Any] | None


class FastBoosting:
    """A gradient boosting that predicts as the fitted original does.

    Args:
        trees: The numbers by which it predicts.
        predict_from: scikit-learn's own predictor of one tree.
        inverse: The inverse of the link function: from sums, shape (rows, trees of an iteration), to probabilities,
            shape (rows, classes), or numbers, shape (rows,).
    """

    def __init__(self, trees: Trees, predict_from: Callable[..., None], inverse: Callable[[Floats], Floats]) -> None:
        self._numbers, self._predict_from, self._inverse = trees, predict_from, inverse
        self.classes_ = trees.classes
        self._trees = list(zip(trees.nodes, trees.subsets, strict=True))
        self._width, self._features = trees.width, trees.features
        self._known, self._places = trees.known, trees.places
        self._nodes, self._subsets = _one_tree(self._trees, self._features)
        self._order, self._categories = trees.order, trees.categories

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

            trees, of_objects = _trees_of(estimator)
            inverse = _inverse_of(estimator, trees.classes)
            fast = cls(trees, _predict_from_raw_data, inverse)
            return fast if fast._agrees(estimator, of_objects=of_objects) else None
        except (ImportError, AttributeError, KeyError, TypeError, ValueError):
            return None

    def stored(self) -> Stored:
        """Return what it is made from.

        Raises:
            NotStorableError: Its link function has no name, or gives other results by its name.
        """
        trees = self._numbers
        if trees.link not in LINKS:
            raise NotStorableError("the link function of the boosting is none of those that everfit knows")
        sums = np.concatenate([np.linspace(-40, 40, 4_001), [-1e3, 1e3, 0.0]])
        sums = np.column_stack([np.roll(sums, 7 * column) for column in range(trees.width)])
        with np.errstate(over="ignore", under="ignore"):
            same = np.array_equal(LINKS[trees.link](sums), self._inverse(sums))
        if not same:
            raise NotStorableError(f"the link function {trees.link!r} gives other results than scikit-learn's")
        numbers = {
            "nodes": np.concatenate(trees.nodes),
            "node_counts": np.array([len(one) for one in trees.nodes]),
            "subsets": np.concatenate(trees.subsets),
            "subset_counts": np.array([len(one) for one in trees.subsets]),
            "known": trees.known,
            "places": trees.places,
            "baseline": trees.baseline,
            "order": trees.order,
            **{f"categories{place}": values for place, values in enumerate(trees.categories)},
        }
        words = {
            "width": trees.width,
            "features": trees.features,
            "categorical": len(trees.categories),
            "link": trees.link,
            "classes": stored_classes(trees.classes),
        }
        return Stored(KIND, words, numbers)

    @classmethod
    def restored(cls, stored: Stored) -> Self:
        """Return the boosting that `stored` has taken apart.

        Raises:
            ImportError: scikit-learn has no predictor of one tree where this everfit looks for it.
        """
        words, numbers = stored.words, stored.numbers
        trees = Trees(
            _parted(numbers["nodes"], numbers["node_counts"]),
            _parted(numbers["subsets"], numbers["subset_counts"]),
            numbers["known"],
            numbers["places"],
            numbers["baseline"],
            words["width"],
            words["features"],
            numbers["order"],
            [numbers[f"categories{place}"] for place in range(words["categorical"])],
            words["link"],
            restored_classes(words["classes"]),
        )
        return cls(trees, predictor_alone(), LINKS[trees.link])

    def predict_proba(self, matrix: Floats) -> Floats:
        """Return the probabilities of the classes; shape (rows, classes)."""
        return np.asarray(self._inverse(self._raw(matrix)), dtype=np.float64)

    def predict(self, matrix: Floats) -> npt.NDArray[Any]:
        """Return the most probable class, or the predicted number; shape (rows,)."""
        if self.classes_ is not None:
            return np.asarray(self.classes_[self.predict_proba(matrix).argmax(axis=1)])
        return np.asarray(self._inverse(self._raw(matrix)))

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
            for (nodes, subsets), out in zip(self._trees, values, strict=True):
                self._predict_from(nodes, matrix, subsets, self._known, self._places, 1, out)
        total = np.broadcast_to(self._numbers.baseline.reshape(-1, 1), (self._width, rows)).copy()
        for of_iteration in values.reshape(-1, self._width, rows):
            total += of_iteration  # add in scikit-learn's order, because rounding depends on it
        return total.T

    def _agrees(self, original: Any, *, of_objects: bool) -> bool:
        """Return whether it predicts as the original does, at and around every threshold and for missing values."""
        random = np.random.default_rng(0)
        probes = np.empty((_PROBES, self._features))
        for feature in range(self._features):
            limits = [nodes["num_threshold"][nodes["feature_idx"] == feature] for nodes, _ in self._trees]
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
        kind = object if of_objects else np.float64
        return all(
            np.array_equal(getattr(self, method)(rows), getattr(original, method)(rows.astype(kind)))
            for rows in (probes, few, probes[:1])
        )


def _trees_of(estimator: Any) -> tuple[Trees, bool]:
    """Return what a fitted estimator predicts by, and whether it was fitted on objects."""
    trees = [tree for iteration in estimator._predictors for tree in iteration]  # noqa: SLF001
    known, places = estimator._bin_mapper.make_known_categories_bitsets()  # noqa: SLF001
    order, categories, of_objects = _categories_of(estimator)
    numbers = Trees(
        [tree.nodes for tree in trees],
        [tree.raw_left_cat_bitsets for tree in trees],
        known,
        places,
        np.asarray(estimator._baseline_prediction, dtype=np.float64),  # noqa: SLF001
        int(estimator.n_trees_per_iteration_),
        int(estimator.n_features_in_),
        order,
        categories,
        link_name(estimator._loss.link),  # noqa: SLF001
        getattr(estimator, "classes_", None),
    )
    return numbers, of_objects


def _inverse_of(estimator: Any, classes: npt.NDArray[Any] | None) -> Callable[[Floats], Floats]:
    loss = estimator._loss  # noqa: SLF001
    if classes is not None:
        return lambda sums: np.asarray(loss.predict_proba(sums), dtype=np.float64)
    return lambda sums: np.asarray(loss.link.inverse(sums.ravel()))


def _parted(whole: npt.NDArray[Any], counts: npt.NDArray[np.int64]) -> list[npt.NDArray[Any]]:
    """Return an array in parts of these lengths."""
    ends = np.cumsum(counts).tolist()
    return [whole[end - count : end] for end, count in zip(ends, counts.tolist(), strict=True)]


def _one_tree(
    trees: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]], features: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Merge all trees into one, with nodes on top that lead to the tree whose number is in the last column.

    Args:
        trees: Nodes of each, and its sets of categories that go left.
        features: Number of columns.

    Returns:
        The nodes, and the sets of categories that go left at them.
    """
    top = max(1, len(trees)) - 1
    nodes = np.zeros(top + sum(len(own) for own, _ in trees), dtype=trees[0][0].dtype)
    roots, start, sets = [], top, 0
    for own, subsets in trees:
        part = nodes[start : start + len(own)]
        part[:] = own
        inner = part["is_leaf"] == 0
        part["left"][inner] += start
        part["right"][inner] += start
        part["bitset_idx"] += sets
        sets += len(subsets)
        roots.append(start)
        start += len(own)
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
    return nodes, np.concatenate([subsets for _, subsets in trees])


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
