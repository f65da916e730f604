"""Keys of rows are hashes, which may be as far apart as 64 bits allow."""

import numpy as np
import pandas as pd

from everfit.tasks.storage.row_hashes import indexed_by_key


def test_rows_whose_keys_are_far_apart_are_indexed_without_a_warning() -> None:
    """Given keys whose difference is beyond the integers' range, at which pandas' own `set_index` warns."""
    ends = np.iinfo(np.int64)
    rows = pd.DataFrame({"key": [ends.min, ends.max], "value": ["a", "b"]})

    found = indexed_by_key(rows, "key")

    assert found.loc[[ends.max, ends.min], "value"].to_list() == ["b", "a"]
    assert list(found.columns) == ["key", "value"]
