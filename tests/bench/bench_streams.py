"""Streams that are not in the repository, replayed window by window through train, score and monitor.

Counted for each: needless retrainings, windows until a real loss is acted on, and live quality against never
retraining, retraining after every window, and the best that could be known in hindsight. `bench_streams.py NAME …`
replays some of them; the name of a CSV file replays that file, its rows in their order and its last column the label.
"""

import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

Floats = npt.NDArray[np.float64]
START, WEEK = datetime(2022, 1, 3, tzinfo=UTC), timedelta(days=7)
FIRST, ROWS, COLUMNS = 8, 1_500, 8
"""Windows before the first turn; rows of a window; numeric columns."""

WEIGHTS = np.array([1.4, -1.0, 0.8, 0.5, 0.0, 0.0, 0.0, 0.0])


@dataclass(frozen=True)
class Stream:
    """A world.

    Attributes:
        windows: How many are watched.
        make: Rows of a window (counted from the first watched one) and the best score that can be known.
        losses: Windows in which quality is really lost against the champion's, so that retraining is a must.
        skipped: Windows in which nothing happens.
        repeated: Windows whose rows come twice.
    """

    windows: int
    make: Callable[[int, np.random.Generator], tuple[pd.DataFrame, Floats]]
    losses: tuple[int, ...] = ()
    skipped: frozenset[int] = frozenset()
    repeated: frozenset[int] = frozenset()
    label_delay: Callable[[pd.DataFrame, np.random.Generator], Any] | None = None


def linear(weights: Callable[[int], Floats], means: Callable[[int], Floats] = lambda _: np.zeros(COLUMNS)) -> Any:
    """Labels that hang on a weighted sum of the columns."""

    def make(number: int, random: np.random.Generator) -> tuple[pd.DataFrame, Floats]:
        x = random.normal(size=(ROWS, COLUMNS)) + means(number)
        chance = 1 / (1 + np.exp(-x @ weights(number)))
        frame = pd.DataFrame({f"x{i}": x[:, i].round(4) for i in range(COLUMNS)})
        return frame.assign(y=random.random(ROWS) < chance), chance

    return make


def digits(number: int, random: np.random.Generator) -> tuple[pd.DataFrame, Floats]:
    """Scanned digits of scikit-learn, even or odd; from window 4 on they are scanned upside down."""
    from sklearn.datasets import load_digits

    result = load_digits()
    chosen = random.integers(0, len(result.target), ROWS)
    images = result.images[chosen] + random.normal(scale=0.5, size=(ROWS, 8, 8))
    images = images[:, ::-1, :] if number >= 4 else images
    frame = pd.DataFrame(images[:, 1:7, 1:7].reshape(ROWS, -1).round(3)).add_prefix("p")
    odd = result.target[chosen] % 2 == 1
    return frame.assign(y=odd), odd.astype(float)


def recorded(path: Path) -> Stream:
    """A stream that somebody has recorded. What could be known in hindsight is learned from the very window."""
    rows = pd.read_csv(path)
    label = rows.columns[-1]
    numbers = rows.drop(columns=label).astype("float64").add_prefix("x_")
    rows = numbers.assign(y=rows[label].astype(int) == rows[label].astype(int).max())

    def make(number: int, _: np.random.Generator) -> tuple[pd.DataFrame, Floats]:
        from sklearn.model_selection import cross_val_predict

        frame = rows.iloc[(number + FIRST) * ROWS : (number + FIRST + 1) * ROWS].reset_index(drop=True)
        known = cross_val_predict(a_model(), frame[list(numbers)], frame["y"], method="predict_proba")
        return frame, known[:, 1]

    return Stream(min(len(rows) // ROWS - FIRST, 25), make)


def a_model() -> Any:
    """What the stream's spec lets train, by the library alone."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))


def early_bias(frame: pd.DataFrame, random: np.random.Generator) -> Any:
    """What went wrong is known within hours, what went well after days."""
    hours = np.where(frame["y"], random.uniform(0, 6, len(frame)), random.uniform(48, 90, len(frame)))
    return pd.to_timedelta(hours, unit="h")


JUMP = np.array([0.0, 0.0, 0.5, 0.5, 3.0, 3.0, 3.0, 3.0])

STREAMS = {
    # A must though inputs hardly move: the sign of two weights turns.
    "concept turns, inputs stay": Stream(10, linear(lambda n: WEIGHTS * (1 if n < 4 else -1)), losses=(4,)),
    "six columns jump, model stays right": Stream(12, linear(lambda _: WEIGHTS, lambda n: JUMP * (n >= 3))),
    "nothing happens": Stream(30, linear(lambda _: WEIGHTS)),
    "concept keeps moving": Stream(14, linear(lambda n: np.roll(WEIGHTS, 2 * ((n + 2) // 6))), losses=(4, 10)),
    "early labels biased": Stream(12, linear(lambda _: WEIGHTS), label_delay=early_bias),
    "rows twice and a gap of 300 days": Stream(
        56, linear(lambda _: WEIGHTS), skipped=frozenset(range(6, 49)), repeated=frozenset({2, 3, 50})
    ),
    "digits upside down": Stream(9, digits, losses=(4,)),
}

SPEC: dict[str, Any] = {
    "name": "stream",
    "task": "binary",
    "source": {"kind": "files", "path": "rows/*.parquet"},
    "columns": {"key": ["id"], "event_time": "at", "label_time": "known_at", "target": "y"},
    "maturity": "1d",
    "training": {
        "window": "best",
        "windows": ["all", "28d", "7d"],
        "holdout": "2d",
        "candidates": ["logistic_regression"],
        "evidence": "quick",
    },
    "monitoring": {"window": "7d", "report": "never"},
}


def rows_of(stream: Stream, number: int) -> tuple[pd.DataFrame, Floats]:
    random = np.random.default_rng(1_000 + number)
    frame, best = stream.make(number, random)
    since = START + (FIRST + number) * WEEK
    at = pd.Timestamp(since) + pd.to_timedelta(np.sort(random.uniform(0, 7, len(frame))), unit="D")
    delay = stream.label_delay(frame, random) if stream.label_delay else pd.Timedelta("12h")
    ids = [f"{number}-{place}" for place in range(len(frame))]
    return frame.assign(id=ids, at=at.floor("s"), known_at=(at + delay).floor("s")), best


def replay(name: str, stream: Stream, folder: Path) -> dict[str, Any]:
    """Live through a stream, and look back on it."""
    from everfit.deployments.cli.runs import result_of
    from everfit.flows.monitoring_flow import monitoring
    from everfit.flows.scoring_flow import scoring
    from everfit.flows.training_flow import training

    (folder / "rows").mkdir(parents=True)
    path = folder / "stream.yaml"
    spec = SPEC | {"source": {"kind": "files", "path": str(folder / "rows/*.parquet")}}
    if stream.label_delay:
        spec |= {"maturity": "4d"}
    path.write_text(yaml.safe_dump(spec))
    os.environ |= {
        "EVERFIT_WORKSPACE": str(folder / "workspace"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }
    past = [rows_of(stream, number)[0] for number in range(-FIRST, 0)]
    pd.concat(past).to_parquet(folder / "rows/past.parquet")
    first = START + FIRST * WEEK
    assert result_of(training(str(path), first, return_state=True))["state"] == "Promoted"
    verdicts: dict[int, str] = {}
    retrained: list[int] = []
    for number in range(stream.windows):
        if number in stream.skipped:
            continue
        frame, _ = rows_of(stream, number)
        twice = pd.concat([frame, frame.iloc[: len(frame) // 4]]) if number in stream.repeated else frame
        twice.to_parquet(folder / f"rows/{number:03}.parquet")
        since, until = first + number * WEEK, first + (number + 1) * WEEK
        result_of(scoring(str(path), since, until, return_state=True))
        result = result_of(monitoring(str(path), until, return_state=True))
        verdicts[number] = f"{result['verdict']}:{result['rule']}"
        if result["turn_id"]:
            retrained.append(number)
        content = {"window": number, "verdict": verdicts[number], "turn": result["turn_state"]}
        print(json.dumps(content | {"why": result["reasons"][0][:110]}), file=sys.stderr)
    delays = [next((n - loss + 1 for n in retrained if n >= loss), None) for loss in stream.losses]
    spans = [*stream.losses, stream.windows]
    answered = {n for loss, end in itertools.pairwise(spans) for n in range(loss, end)}
    return {
        "stream": name,
        "windows": len(verdicts),
        "retrained after windows": retrained,
        "needless": sum(number not in answered for number in retrained),
        "windows until a loss is acted on": delays,
        "verdicts": dict(sorted({v: list(verdicts.values()).count(v) for v in set(verdicts.values())}.items())),
        **look_back(stream, path, sorted(verdicts)),
    }


def look_back(stream: Stream, path: Path, numbers: list[int]) -> dict[str, float]:
    """Mean ROC AUC of the windows: as it was, of the first model, refitted after each window, and at best."""
    from everfit.blocks.settings import Settings
    from everfit.tasks.core.records import Window
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.predictions import prediction_log
    from everfit.tasks.statistics.metrics import metric
    from everfit.tasks.turns.context import Context

    here, area = Context(load_spec(str(path)), Settings()), metric("roc_auc").score
    log = here.workspace.table("stream", "predictions")
    first = START + FIRST * WEEK
    frames = {number: rows_of(stream, number) for number in [*range(-FIRST, 0), *numbers]}
    names = [name for name in frames[numbers[0]][0].columns if name not in {"y", "id", "at", "known_at"}]

    def fitted(seen: list[int]) -> Any:
        rows = pd.concat([frames[number][0] for number in seen])
        return a_model().fit(rows[names], rows["y"])

    never, results = fitted(list(range(-FIRST, 0))), []
    for place, number in enumerate(numbers):
        rows, best = frames[number]
        window = Window(since=first + number * WEEK, until=first + (number + 1) * WEEK)
        reported = prediction_log.read(log, window, "at", columns=["id", "_score", "_predicted_at"])
        reported = reported.sort_values("_predicted_at").drop_duplicates("id").set_index("id")["_score"]
        truth = rows["y"].to_numpy(dtype=float)
        every = fitted(([*range(-FIRST, 0), *numbers[:place]])[-2:])
        scores = [
            reported.loc[rows["id"]].to_numpy(),
            *(m.predict_proba(rows[names])[:, 1] for m in (never, every)),
            best,
        ]
        results.append([area(truth, score) for score in scores])
    kinds = ("everfit", "never retrained", "retrained after every window", "in hindsight")
    return dict(zip(kinds, (round(float(value), 4) for value in np.mean(results, axis=0)), strict=True))


def main(names: list[str]) -> None:
    from everfit.blocks.settings import Settings
    from everfit.deployments.cli import environment

    place = Path(tempfile.mkdtemp(prefix="everfit-streams-"))
    os.environ["EVERFIT_WORKSPACE"] = str(place / "prefect")
    environment.prepare(Settings())
    environment.start_temporary_server()()
    for name in names or STREAMS:
        began = time.perf_counter()
        stream = recorded(Path(name)) if name.endswith(".csv") else STREAMS[name]
        result = replay(Path(name).name, stream, place / Path(name).name.replace(" ", "-").replace(",", ""))
        print(json.dumps(result | {"seconds": round(time.perf_counter() - began)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
