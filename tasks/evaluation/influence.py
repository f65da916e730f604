"""The features that move a model's answers most, where there are too many to look at each."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

MOST = 64
"""Features that explanations and robustness look at: each costs a scoring of all columns."""

_ROWS = 50
_GROUPS = 256
_CELLS_AT_ONCE = 4_000_000

Floats = npt.NDArray[np.float64]


def most_influential(
    ask: Callable[[pd.DataFrame], Floats], features: pd.DataFrame, seed: int, most: int = MOST
) -> list[str]:
    """Return the features that move the answers most, in the order of the columns; all if they are few.

    Some rows get the values of other rows, a feature at a time, and the mean change of the answers ranks the features.
    If there are very many features, groups of neighbours are changed together first, and the features of those that
    move the answers most are ranked then. So the cost grows with the number of columns, and not with its square.

    Args:
        ask: Returns the model's scores of rows.
        features: Rows that the model can score; shape (rows, features).
        seed: The seed of the sampled rows.
        most: How many features to return.
    """
    names = [str(name) for name in features.columns]
    if len(names) <= most:
        return names
    random = np.random.default_rng(seed)
    here, others = (random.integers(0, len(features), _ROWS) for _ in range(2))
    groups: list[npt.NDArray[np.intp]] = np.array_split(np.arange(len(names)), min(len(names), _GROUPS))
    if len(groups) < len(names):
        moved = _moved(ask, features, here, others, groups)
        largest = max(1, _GROUPS // max(map(len, groups)))
        kept = np.sort(np.concatenate([groups[place] for place in np.argsort(-moved, kind="stable")[:largest]]))
        groups = np.array_split(kept, len(kept))
    moved = _moved(ask, features, here, others, groups)
    chosen = np.sort(np.concatenate([groups[place] for place in np.argsort(-moved, kind="stable")[:most]]))
    return [names[place] for place in chosen]


def repeated_rows(rows: pd.DataFrame, times: int, changed: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Return rows several times below each other, with other values in some columns.

    Args:
        rows: Shape (rows, columns).
        times: How many times.
        changed: The other values by column; shape (times * rows,) each.
    """
    same = rows[[name for name in rows.columns if name not in changed]]
    frame = pd.DataFrame(dict(changed))
    if len(same.columns):
        again = same.iloc[np.tile(np.arange(len(rows)), times)].reset_index(drop=True)
        frame = pd.concat([again, frame], axis=1)
    return frame[list(rows.columns)]


def spliced(parts: Sequence[pd.Series], order: npt.NDArray[np.int64]) -> pd.Series:
    """Join parts of equal length in an order, in which each may come many times; shape (len(order) * rows,).

    Args:
        parts: Shape (rows,) each.
        order: Positions in `parts`. Joining as many series by `pd.concat` takes longer than the model's answers.
    """
    rows = np.arange(len(parts[0]))
    places = (order[:, None] * len(rows) + rows).ravel()
    return pd.concat(parts, ignore_index=True).take(places).reset_index(drop=True)


def _moved(
    ask: Callable[[pd.DataFrame], Floats],
    features: pd.DataFrame,
    here: npt.NDArray[np.int64],
    others: npt.NDArray[np.int64],
    groups: Sequence[npt.NDArray[np.intp]],
) -> Floats:
    """Return by how much the answers move on average when each group of columns is changed; shape (groups,)."""
    sample = features.iloc[here].reset_index(drop=True)
    before = ask(sample)
    at_once = max(1, _CELLS_AT_ONCE // (_ROWS * features.shape[1]))
    moved = []
    for start in range(0, len(groups), at_once):
        some = groups[start : start + at_once]
        changed = {}
        for number, group in enumerate(some):
            rows = np.tile(here, len(some))
            rows[number * _ROWS : (number + 1) * _ROWS] = others
            for name in features.columns[group]:
                changed[str(name)] = features[name].take(rows).reset_index(drop=True)
        after = np.split(ask(repeated_rows(sample, len(some), changed)), len(some))
        moved += [float(np.abs(scores - before).mean()) for scores in after]
    return np.array(moved)
