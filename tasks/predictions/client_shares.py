"""How many rows of each client count, so that no client outnumbers all others. Pure."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

_DRAW = np.int64(0x5DEECE66D)
"""Makes the draw independent of other samples that are drawn by the hash of the key."""


def counted_shares(counts: Mapping[str, int], max_share: float, trusted: Collection[str]) -> dict[str, float]:
    """Return for each client with too many rows the share of them that counts.

    Args:
        counts: Rows of each client.
        max_share: The largest share of one client in what counts. With so few clients that each must have more, they
            count alike.
        trusted: Clients that are not limited.

    Returns:
        From 0 to 1 by client; clients that are not limited are left out.
    """
    ordered = sorted(((rows, name) for name, rows in counts.items() if name not in trusted and rows), reverse=True)
    total, clients = sum(counts.values()), sum(rows > 0 for rows in counts.values())
    share = max(max_share, 1 / clients) if clients else 1.0
    if clients < 2 or not ordered or ordered[0][0] <= share * total:
        return {}
    rest, most = total, 0.0
    for place, (rows, _) in enumerate(ordered, start=1):
        rest -= rows
        most = share * rest / (1 - place * share) if place * share < 1 else most
        if place == len(ordered) or most >= ordered[place][0]:
            break
    return {name: most / rows for rows, name in ordered if rows > most}


def drawn(keys: npt.ArrayLike, clients: "pd.Series[str]", shares: Mapping[str, float]) -> npt.NDArray[np.bool_]:
    """Return whether each row counts, drawn by its key: the same rows each time.

    Args:
        keys: Hashes of the rows' keys; shape (rows,).
        clients: Client of each row; shape (rows,).
        shares: From `counted_shares`.
    """
    import pandas as pd

    if not shares:
        return np.ones(len(clients), dtype=np.bool_)
    place = pd.util.hash_array(np.asarray(keys, dtype=np.int64) ^ _DRAW) / 2.0**64
    limit = clients.map(dict(shares)).fillna(1.0).to_numpy(dtype=np.float64)
    return np.asarray(place < limit, dtype=np.bool_)


def within_share(
    keys: npt.ArrayLike, clients: "pd.Series[str]", max_share: float, trusted: Collection[str]
) -> npt.NDArray[np.bool_]:
    """Return whether each row counts if no client may have more than a share of them.

    Args:
        keys: Hashes of the rows' keys; shape (rows,).
        clients: Client of each row; shape (rows,).
        max_share: The largest share of one client.
        trusted: Clients that are not limited.
    """
    counts = {str(name): int(rows) for name, rows in clients.value_counts().items()}
    return drawn(keys, clients, counted_shares(counts, max_share, trusted))
