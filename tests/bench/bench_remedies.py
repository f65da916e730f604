"""How often the known remedy is taken in made-up worlds: `bench_remedies.py COUNT [WORLD …]` makes each that often."""

import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.remedied_worlds import EXPECTED, treated

ROWS = {"threshold": 8000}
"""F1 tells less of a row than the log loss does, so the gate needs more rows to be certain."""


def main(count: int, worlds: list[str]) -> None:
    for world in worlds or list(EXPECTED):
        began, outcomes = time.process_time(), Counter[str]()
        for seed in range(count):
            with tempfile.TemporaryDirectory(prefix="everfit-remedies-") as folder:
                outcomes[treated(world, seed, Path(folder), rows=ROWS.get(world, 4000)).outcome] += 1
        found = {"world": world, "expected": EXPECTED[world], "right": outcomes[EXPECTED[world]], "of": count}
        seconds = (time.process_time() - began) / count
        print(json.dumps({**found, "outcomes": outcomes, "cpu_seconds_each": round(seconds, 2)}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
