"""The slices in which quality was lost: a tree that is grown on one half of the days and measured on the other.

A tree's leaves look worst where it was grown, so their figures come from rows that it has not seen (S. Athey and G.
Imbens, "Recursive partitioning for heterogeneous causal effects", PNAS 113 (2016)). Those leaves count that are
worse beyond chance after Holm's correction.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from everfit.tasks.core.loss_diagnosis import LossSlice
from everfit.tasks.diagnosis.conditions import Condition, conditions_in_words
from everfit.tasks.diagnosis.encoding import OTHER, Encoded
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence
from everfit.tasks.statistics.holm import holm

Floats = npt.NDArray[np.float64]
Chosen = npt.NDArray[np.bool_]

_LEAVES, _DEPTH, _LEAST_SHARE, _LEAST_ROWS = 8, 3, 0.02, 30
_LEAST_GAIN = 15.0
"""A split must explain this many times the variance of a row; the best of many by chance explains some 10."""
_MOST_CATEGORIES = 15
CONFIDENCE = 0.95


def worst_slices(
    evidence: DiagnosisEvidence, encoded: Encoded, seed: int = 0, most: int = 5
) -> list[tuple[LossSlice, Chosen]]:
    """Return the slices in which quality was surely lost, the largest part first, and each one's rows of the window.

    Args:
        evidence: Both sides.
        encoded: Their columns as numbers.
        seed: The seed of the halves and the tree.
        most: Slices at most.
    """
    from sklearn.tree import DecisionTreeRegressor

    splits = _Splits(encoded)
    if not splits.values.shape[1]:
        return []
    sides = (evidence.reference, evidence.window)
    grown = np.concatenate([half(side.days, len(side), seed + place) for place, side in enumerate(sides)])
    from_reference = np.repeat([True, False], [len(side) for side in sides])
    excess = excess_losses(evidence)
    leaf = max(_LEAST_ROWS, int(_LEAST_SHARE * grown.sum()))
    tree = DecisionTreeRegressor(
        max_depth=_DEPTH,
        max_leaf_nodes=_LEAVES,
        min_samples_leaf=leaf,
        min_impurity_decrease=_LEAST_GAIN * float(excess[grown].var()) / int(grown.sum()),
        random_state=seed,
    )
    tree.fit(splits.values[grown], excess[grown])
    leaves = tree.apply(splits.values)
    before = float(evidence.reference.counted @ evidence.reference.losses)
    total = float(evidence.window.counted @ evidence.window.losses) - before
    paths = _paths(tree.tree_)
    found = {
        int(number): _measured(
            evidence, leaves == number, ~grown, conditions_in_words(splits.conditions(paths[int(number)])), total
        )
        for number in np.unique(leaves)
    }
    measured = {number: slice_ for number, slice_ in found.items() if slice_ is not None}
    lost = holm({number: _chance(slice_) for number, slice_ in measured.items()}, 1 - CONFIDENCE)
    # A leaf of easy rows may add to the loss too, by having become rare; the loss is not there.
    certain = [
        (slice_, (leaves == number)[~from_reference])
        for number, slice_ in measured.items()
        if lost[number] and slice_.name and slice_.loss > before
    ]
    return sorted(certain, key=lambda found: -found[0].contribution)[:most]


def excess_losses(evidence: DiagnosisEvidence) -> Floats:
    """Return what each row adds to the change of the mean loss, times the number of rows; shape (rows,).

    The mean over rows of a kind is by how much such rows have raised the loss: by being worse, or by being more. The
    hold-out's rows come first.

    Args:
        evidence: Both sides.
    """
    old, new = evidence.reference, evidence.window
    rows, mean = len(old) + len(new), float(old.counted @ old.losses)
    before, now = -old.counted * (old.losses - mean), new.counted * (new.losses - mean)
    return np.concatenate([before, now]) * rows


def half(days: npt.NDArray[np.int64] | None, rows: int, seed: int) -> Chosen:
    """Return a random half of the rows, of whole days where there are enough; shape (rows,)."""
    random = np.random.default_rng(seed)
    known, places = (np.arange(rows), np.arange(rows)) if days is None else np.unique(days, return_inverse=True)
    if len(known) < 8:
        known, places = np.arange(rows), np.arange(rows)
    return np.asarray((random.permutation(len(known)) < len(known) / 2)[places], dtype=np.bool_)


def _measured(evidence: DiagnosisEvidence, chosen: Chosen, judged: Chosen, name: str, total: float) -> LossSlice | None:
    """Measure a slice on the rows that it was not found on."""
    old, new = evidence.reference, evidence.window
    n = len(old)
    before, now = old.of(judged[:n]), new.of(judged[n:])
    in_old, in_new = chosen[:n][judged[:n]], chosen[n:][judged[n:]]
    if int(in_new.sum()) < 2 or len(before) < 2 or in_new.all():
        return None
    p, q, mean = before.counted, now.counted, float(before.counted @ before.losses)
    of_old, of_new = np.where(in_old, before.losses - mean, 0.0), np.where(in_new, now.losses - mean, 0.0)
    lost, had = float(q @ of_new), float(p @ of_old)
    share_old = float(p @ in_old)
    # The hold-out's mean, from which all is measured, is uncertain too.
    shift = share_old - float(q @ in_new)
    error_old = before.mean_error(len(before) * p * (-(of_old - had) + shift * (before.losses - mean)))
    error_new = now.mean_error(len(now) * q * (of_new - lost))
    contribution, error = lost - had, float(np.hypot(error_old, error_new))
    return LossSlice(
        name=name,
        rows=int(chosen[n:].sum()),
        share_of_rows=float(q @ in_new),
        loss=float(np.average(now.losses[in_new], weights=q[in_new])),
        elsewhere=float(np.average(now.losses[~in_new], weights=q[~in_new])),
        before=float(np.average(before.losses[in_old], weights=p[in_old])) if in_old.any() else None,
        rows_before=int(chosen[:n].sum()),
        contribution=contribution,
        standard_error=error,
        share_of_loss=contribution / total if total > 0 else None,
    )


def _chance(slice_: LossSlice) -> float:
    from scipy.special import ndtr

    return float(ndtr(-slice_.contribution / slice_.standard_error)) if slice_.standard_error > 0 else 1.0


class _Splits:
    """The encoded columns in the form that splits of a tree can be put into words: one feature for each category."""

    def __init__(self, encoded: Encoded) -> None:
        columns: list[Floats] = []
        self._features: list[tuple[str, str | None, str | None]] = []
        for place, (name, word, categories) in enumerate(
            zip(encoded.columns, encoded.words, encoded.categories, strict=True)
        ):
            values = encoded.values[:, place]
            if categories is None:
                columns.append(values)
                self._features.append((name, word, None))
                continue
            if np.isnan(values).any():
                columns.append(np.isnan(values).astype(np.float64))
                self._features.append((name, None, "missing"))
            for code, category in enumerate(categories[:_MOST_CATEGORIES]):
                columns.append((values == code).astype(np.float64))
                self._features.append((name, None, f"= {category}" if category != OTHER else OTHER))
        self.values = np.column_stack(columns) if columns else np.empty((len(encoded.values), 0))

    def conditions(self, path: Sequence[tuple[int, bool, float, bool]]) -> list[Condition]:
        """Return the conditions of a path: feature, whether it is above, threshold, whether missing values go there."""
        found = []
        for feature, above, threshold, missing in path:
            name, word, category = self._features[feature]
            has_missing = missing and bool(np.isnan(self.values[:, feature]).any())
            found.append(Condition(name, word, category, above, threshold, has_missing))
        return found


def _paths(tree: object) -> dict[int, list[tuple[int, bool, float, bool]]]:
    """Return the splits on the way to each leaf."""
    left, right = tree.children_left, tree.children_right  # type: ignore[attr-defined]
    paths: dict[int, list[tuple[int, bool, float, bool]]] = {}
    waiting: list[tuple[int, list[tuple[int, bool, float, bool]]]] = [(0, [])]
    while waiting:
        node, path = waiting.pop()
        if left[node] == right[node]:
            paths[node] = path
            continue
        feature, threshold = int(tree.feature[node]), float(tree.threshold[node])  # type: ignore[attr-defined]
        to_left = bool(tree.missing_go_to_left[node])  # type: ignore[attr-defined]
        waiting += [
            (int(left[node]), [*path, (feature, False, threshold, to_left)]),
            (int(right[node]), [*path, (feature, True, threshold, not to_left)]),
        ]
    return paths
