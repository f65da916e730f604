"""`everfit train`, which writes each fit and each scoring to a file: recorded_turn.py FILE SPEC UNTIL."""

import json
import sys
from pathlib import Path

from everfit.blocks.training import ENSEMBLE
from everfit.deployments.cli.main import console
from everfit.tasks.training import competition, fitting, in_process

work, spec, until = sys.argv[1:]
fit, scores = fitting.fit, in_process.model_scores


def recorded_fit(spec, features, candidate, setting, rows, **more):
    model = fit(spec, features, candidate, setting, rows, **more)
    if candidate != ENSEMBLE:
        names = {"hist_gradient_boosting": "boosting", "logistic_regression": "logistic"}
        times = rows[spec.columns.time]
        write(
            {
                "do": "fit",
                "model": "ordered" if setting.parameters else names[candidate],
                "since": str(times.min()),
                "until": str(times.max()),
            }
        )
    return model


def recorded_scores(model, rows, classes, task):
    write({"do": "score", "rows": len(rows)})
    return scores(model, rows, classes, task)


def write(step):
    with Path(work).open("a") as steps:
        steps.write(json.dumps(step) + "\n")


fitting.fit = in_process.fit = recorded_fit
in_process.model_scores = competition.model_scores = recorded_scores
sys.argv = ["everfit", "train", spec, "--until", until]
console()
