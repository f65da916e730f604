"""Try a registered version as the service would serve it: `python -m everfit.infra.serving.check VERSION ROWS`.

Prints one JSON object: the scores, the latency of single rows, the size on disk and the memory of the process; or the
problem in words.
"""

import contextlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from everfit.tasks.core.records import ModelVersion

if TYPE_CHECKING:
    from everfit.infra.serving.servable import Servable

_TIMED_ROWS = 100
_ROUNDS = 3  # the best one counts: what else runs on the machine only adds to a latency
_MEGABYTE = 1e6


def check(version: ModelVersion, rows: Path) -> dict[str, Any]:
    """Load a version from the registry and let it answer.

    Args:
        version: In the registry that the settings name.
        rows: A Parquet file with the features.

    Returns:
        `scores` of all rows, `p99_ms`, `size_mb` and `memory_mb`; or `problem`, and whether it was `loaded`.
    """
    import pandas as pd

    from everfit.blocks.settings import Settings
    from everfit.infra.serving.servable import ModelCache, feature_columns, load_servable
    from everfit.tasks.registry.mlflow_client import tracking_client

    loaded = False
    try:
        with TemporaryDirectory(prefix="everfit-serving-") as folder:
            kept = ModelCache(Path(folder)).fetch(tracking_client(Settings()), version)
            size = sum(file.stat().st_size for file in kept.rglob("*") if file.is_file())
            servable = load_servable(kept, version)
        loaded = True
        inputs, scorer = servable.inputs, servable.scorer
        given = feature_columns(pd.read_parquet(rows), inputs)
        count = len(next(iter(given.values())))
        p99 = min(_p99(servable, given, min(count, _TIMED_ROWS)) for _ in range(_ROUNDS))
        answered = scorer.score_columns(inputs.check(given, count, new_categories=True))
    except Exception as error:  # noqa: BLE001 - whatever it is, the service could not serve this
        return {"loaded": loaded, "problem": f"{type(error).__name__}: {error}"}
    scores = answered.values if answered.probabilities is None else answered.probabilities
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "scores": scores.tolist(),
        "p99_ms": p99,
        "size_mb": size / _MEGABYTE,
        "memory_mb": peak / _MEGABYTE,
    }


def _p99(servable: "Servable", given: dict[str, list[Any]], rows: int) -> float:
    """The 99th percentile of the milliseconds that single rows take, from the request's values to the score."""
    import numpy as np

    times = []
    for row in range(rows):
        started = time.perf_counter()
        one = {name: values[row : row + 1] for name, values in given.items()}
        servable.scorer.score_columns(servable.inputs.check(one, 1, new_categories=True))
        times.append(time.perf_counter() - started)
    return float(np.percentile(times, 99) * 1000)


def main() -> None:
    """Answer on standard output, which libraries then can't write to."""
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    version, rows = ModelVersion.model_validate_json(sys.argv[1]), Path(sys.argv[2])
    with contextlib.redirect_stdout(sys.stderr):
        found = check(version, rows)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
