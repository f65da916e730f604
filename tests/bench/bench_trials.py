"""How many labels a trial in the shadow needs, and one that exposes people: `bench_trials.py COUNT` makes so many each.

Both are judged by everfit's own rules at each look, after every tenth more labels. The shadow answers the rows that the
champion answers. The exposed trial answers half of them, and the champion the others.
"""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from everfit.blocks.trials import AbPolicy, ShadowPolicy
from everfit.tasks.predictions import labels, prediction_log
from everfit.tasks.release.traffic.trial import TrialEvidence, TrialPlan, judge_trial, replay
from everfit.tasks.release.traffic.trial_evidence import StepComparison
from everfit.tasks.storage.tables import KEY

SINCE = datetime(2024, 1, 1, tzinfo=UTC)
ROWS, FIRST, MORE = 20_000, 200, 1.1
A_DAY = 100
WEIGHTS = {"equal": 1.0, "better": 0.2, "far better": -0.2}
"""By world, the weight of the second input in the champion's log odds: the truth has .9, the challenger .8. Equal is a
champion that is off by as much as the challenger."""


def answers(world: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Return the challenger's and the champion's answers to the same rows, and how far their losses correlate."""
    random = np.random.default_rng(seed)
    x, other = random.normal(size=(2, ROWS))
    truth = random.random(ROWS) < _chance(x, other, 0.9)
    at = pd.Timestamp(SINCE) + pd.to_timedelta(np.arange(ROWS) / A_DAY, unit="D")

    def frame(weight: float) -> pd.DataFrame:
        score = _chance(x, other, weight)
        return pd.DataFrame(
            {
                KEY: np.arange(ROWS),
                "at": at,
                prediction_log.SCORE: score,
                prediction_log.PREDICTION: np.where(score > 0.5, "1", "0"),
                labels.LABEL: np.where(truth, "1", "0"),
                labels.INCLUSION: np.nan,
            }
        )

    new, old = frame(0.8), frame(WEIGHTS[world])
    losses = [(one[prediction_log.SCORE] - truth) ** 2 for one in (new, old)]
    return new, old, float(np.corrcoef(*losses)[0, 1])


def ended(kind: str, new: pd.DataFrame, old: pd.DataFrame) -> tuple[str, int]:
    """Return how a trial ends, and after how many labels."""
    limits: dict[str, Any] = {"min_labels": FIRST, "min_rows": 1, "max_time": timedelta(days=3650)}
    policy = (
        ShadowPolicy(**limits, bake_time=timedelta(0))
        if kind == "shadow"
        else AbPolicy(**limits, bake_time=timedelta(0))
    )
    plan = TrialPlan(id="t", model="m", challenger=2, champion=1, policy=policy, metric="brier", since=SINCE)
    known, rows, state = ("0", "1"), FIRST, replay(plan, [])
    comparison = StepComparison("at", "binary", lambda _: known, plan, SINCE + timedelta(days=3650))
    while rows <= len(new):
        until = SINCE + timedelta(days=rows / A_DAY)
        ours, theirs = new.head(rows), old.head(rows)
        if kind == "exposed":
            ours, theirs = ours[ours[KEY] % 2 == 0], theirs[theirs[KEY] % 2 == 1]
        (window,) = state.windows(until)
        step = comparison.step(policy.shares[0], window, ours, theirs)
        look = judge_trial(state, TrialEvidence(until=until, champion=1, steps=(step,)))
        if look.verdict in {"release", "return"}:
            return look.verdict, rows
        rows = round(rows * MORE)
    return "open", len(new)


def main(count: int) -> None:
    for world in WEIGHTS:
        for kind in ("shadow", "exposed"):
            began, ends = time.process_time(), []
            alike = []
            for seed in range(count):
                new, old, correlation = answers(world, seed)
                ends.append(ended(kind, new, old))
                alike.append(correlation)
            found = {verdict: sum(end == verdict for end, _ in ends) for verdict in ("release", "return", "open")}
            needed = int(np.median([rows for _, rows in ends]))
            seconds = round((time.process_time() - began) / count, 2)
            print(
                json.dumps(
                    {"world": world, "trial": kind, "of": count, **found, "median_labels": needed}
                    | {"losses_correlate": round(float(np.mean(alike)), 2), "cpu_seconds_each": seconds}
                ),
                flush=True,
            )


def _chance(x: Any, other: Any, weight: float) -> Any:
    return 1 / (1 + np.exp(-(1.5 * x + weight * other)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
