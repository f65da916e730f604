"""Try a version as the service would serve it: `python -m everfit.infra.serving.check VERSION ROWS [CHAMPION]`.

Prints one JSON object: the scores, the latency of single rows, the size on disk, the memory of the process, and how
many requests a second the service answers on one core, also with the champion; or a description of the problem.
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
from everfit.tasks.models.skops_format import import_without_listing

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from everfit.infra.serving.servable import Servable
    from everfit.tasks.models.input_schema import InputSchema

_TIMED_ROWS = 100
_ROUNDS = 3  # take the best round, because other processes only add to the latency
_MEGABYTE = 1e6
CHALLENGER, CHAMPION = "challenger", "champion"


def check_version(version: ModelVersion, rows: Path, champion: ModelVersion | None = None) -> dict[str, Any]:
    """Load a version from the registry, and score rows with it.

    Args:
        version: Version in the registry that the settings name.
        rows: Parquet file with the features.
        champion: Version to compare its capacity with.

    Returns:
        `scores` of all rows, `p99_ms`, `size_mb`, `memory_mb` and `capacity`; or `problem`, and whether the version was
        `loaded`.
    """
    import pandas as pd

    from everfit.blocks.settings import Settings
    from everfit.infra.serving.capacity import WITHIN
    from everfit.infra.serving.model_cache import ModelCache
    from everfit.infra.serving.servable import feature_columns, load_servable
    from everfit.tasks.registry.mlflow_client import tracking_client
    from everfit.tasks.storage.workspace import Workspace

    loaded, ends = False, time.monotonic() + WITHIN
    with TemporaryDirectory(prefix="everfit-serving-") as folder:
        try:
            cache = ModelCache(Path(folder), Workspace(Settings().workspace))
            client = tracking_client(Settings())
            own = cache.fetch(client, version)
            size = sum(file.stat().st_size for file in own.rglob("*") if file.is_file())
            servable = load_servable(own, version)
            loaded = True
            inputs, scorer = servable.inputs, servable.scorer
            features = feature_columns(pd.read_parquet(rows), inputs)
            count = len(next(iter(features.values())))
            p99 = min(_p99(servable, features, min(count, _TIMED_ROWS)) for _ in range(_ROUNDS))
            answered = scorer.score_columns(inputs.check(features, count, new_categories=True))
        except Exception as error:  # noqa: BLE001 - the service could not serve the version, for any reason
            return {"loaded": loaded, "problem": f"{type(error).__name__}: {error}"}
        scores = answered.values if answered.probabilities is None else answered.probabilities
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        copies = {CHALLENGER: (version, own)}
        with contextlib.suppress(Exception):  # a champion that is broken is no reason not to measure the challenger
            copies |= {} if champion is None else {CHAMPION: (champion, cache.fetch(client, champion))}
        return {
            "scores": scores.tolist(),
            "p99_ms": p99,
            "size_mb": size / _MEGABYTE,
            "memory_mb": peak / _MEGABYTE,
            **_capacity(copies, pd.read_parquet(rows).head(_TIMED_ROWS), servable.inputs, ends),
        }


def _capacity(
    copies: "Mapping[str, tuple[ModelVersion, Path]]", rows: "pd.DataFrame", inputs: "InputSchema", ends: float
) -> dict[str, Any]:
    """Return the capacity of both versions, or of the challenger alone, or why it was not measured."""
    from everfit.infra.serving.capacity import CapacityError, measure_capacity
    from everfit.infra.serving.servable import feature_columns

    features = feature_columns(rows, inputs)
    own = [{**inputs.example(), **{name: values[row] for name, values in features.items()}} for row in range(len(rows))]
    problem = ""
    # The champion may have other columns, or be broken: then the challenger is measured alone.
    for versions in ([copies] if CHAMPION in copies else []) + [{CHALLENGER: copies[CHALLENGER]}]:
        try:
            return {"capacity": measure_capacity(versions, own, ends)}
        except CapacityError as error:
            problem = str(error)
    return {"capacity_problem": problem}


def _p99(servable: "Servable", features: dict[str, list[Any]], rows: int) -> float:
    """Return the 99th percentile of a single row's latency in milliseconds, from the request's values to the score."""
    import numpy as np

    times = []
    for row in range(rows):
        started = time.perf_counter()
        one = {name: values[row : row + 1] for name, values in features.items()}
        servable.scorer.score_columns(servable.inputs.check(one, 1, new_categories=True))
        times.append(time.perf_counter() - started)
    return float(np.percentile(times, 99) * 1000)


def main() -> None:
    """Print the result on standard output, and keep the libraries from writing to it."""
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    import_without_listing()
    version, rows = ModelVersion.model_validate_json(sys.argv[1]), Path(sys.argv[2])
    champion = ModelVersion.model_validate_json(sys.argv[3]) if len(sys.argv) > 3 else None
    with contextlib.redirect_stdout(sys.stderr):
        result = check_version(version, rows, champion)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
