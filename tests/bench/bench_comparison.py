"""How long the paired comparison takes: 2,000 draws of two AUCs on 100,000 rows, against scikit-learn in a loop."""

import json
import time

import numpy as np
from sklearn.metrics import roc_auc_score

from everfit.tasks.statistics.comparison import compare

ROWS, DRAWS, PLAIN_DRAWS = 100_000, 2_000, 20


def run() -> dict[str, float]:
    """Time both and give the seconds, and how many times faster the counted bootstrap is per draw."""
    rng = np.random.default_rng(0)
    y = (rng.random(ROWS) < 0.2).astype(int)
    champion = 1 / (1 + np.exp(-(y + rng.normal(size=ROWS))))
    challenger = 1 / (1 + np.exp(-(1.05 * y + rng.normal(size=ROWS))))

    start, worked = time.perf_counter(), time.process_time()
    result = compare(y, challenger, champion, "roc_auc", draws=DRAWS, method="bootstrap")
    bootstrap, worked = time.perf_counter() - start, time.process_time() - worked

    start = time.perf_counter()
    exact = compare(y, challenger, champion, "roc_auc")
    delong = time.perf_counter() - start

    start = time.perf_counter()
    for _ in range(PLAIN_DRAWS):
        drawn = rng.integers(0, ROWS, ROWS)
        _ = roc_auc_score(y[drawn], challenger[drawn]) - roc_auc_score(y[drawn], champion[drawn])
    plain = (time.perf_counter() - start) * DRAWS / PLAIN_DRAWS

    return {
        "rows": ROWS,
        "draws": DRAWS,
        "bootstrap_seconds": round(bootstrap, 2),
        "bootstrap_processor_seconds": round(worked, 2),
        "delong_seconds": round(delong, 3),
        "scikit_learn_seconds_estimated": round(plain, 1),
        "times_faster": round(plain / bootstrap, 1),
        "bootstrap_lower": round(result.lower, 6),
        "delong_lower": round(exact.lower, 6),
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
