"""Ids are seen for the first time once, in whatever pieces they come."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from everfit.tasks.predictions.prediction_ids import repeatable_ids
from everfit.tasks.scoring.seen_ids import SeenIds


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 40), max_size=30), max_size=12))
def test_says_what_a_set_would_say(pieces: list[list[int]]) -> None:
    known, seen = SeenIds(), set[str]()
    for hashes in pieces:
        ids = repeatable_ids(1_380_585_600_000, np.array(hashes, dtype=np.int64), 7)
        expected = []
        for one in ids:
            expected.append(one not in seen)
            seen.add(one)
        assert known.take(ids).tolist() == expected


def test_many_pieces_stay_in_few_runs() -> None:
    known = SeenIds()
    for start in range(0, 50_000, 500):
        assert known.take(repeatable_ids(1, np.arange(start, start + 500), 1)).all()
    assert len(known._runs) < 10
    assert sum(map(len, known._runs)) == 50_000
