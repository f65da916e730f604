"""Bench: what everfit's training costs over the same search and fits written by hand, and what the evidence costs.

Bounds: 10 % over the hand-written search; 30 s of evidence for 100,000 hold-out rows of 20 features on two cores.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from prefect import flow

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.training import SINCE, a_spec, data_of

from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.tasks.data.split import TrainingData
from everfit.tasks.data.validate import Validation
from everfit.tasks.evaluation.evaluate import evaluate
from everfit.tasks.evaluation.plots import png_plots, report_page
from everfit.tasks.evaluation.report import make_report
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.steps.learning import try_candidate
from everfit.tasks.steps.task_runners import task_runner
from everfit.tasks.training.results import CandidateResult
from everfit.tasks.training.search import Setting
from everfit.tasks.training.train import fit_on

TRIALS, FEATURES, ROWS, HOLDOUT_ROWS = 8, 20, 30_000, 100_000
MOST_OVERHEAD, MOST_EVIDENCE = 0.10, 30.0


def rows_of(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    numbers = pd.DataFrame(random.normal(size=(rows, FEATURES)), columns=[f"x{n}" for n in range(FEATURES)])
    at = pd.Timestamp(SINCE) + pd.to_timedelta(np.sort(random.uniform(0, 60, rows)), unit="D")
    signal = numbers.iloc[:, :5].sum(axis=1) + random.normal(scale=2, size=rows)
    known_at = (at + pd.Timedelta("1h")).as_unit("us")
    return numbers.assign(id=np.arange(rows), at=at.as_unit("us"), known_at=known_at, y=(signal > 0).astype(float))


def by_hand(rows: pd.DataFrame) -> float:
    """The same search: the same library calls, and nothing else."""
    import optuna
    from sklearn.ensemble import HistGradientBoostingClassifier

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = [f"x{n}" for n in range(FEATURES)]
    cut = len(rows) - round(len(rows) * 0.2)
    earlier, later = rows.iloc[:cut], rows.iloc[cut:]

    def score(**parameters: object) -> float:
        model = HistGradientBoostingClassifier(random_state=0, **parameters)
        model.fit(earlier[names], earlier["y"].astype("int64"))
        return metric("roc_auc").score(later["y"], model.predict_proba(later[names])[:, 1])

    def objective(trial: optuna.Trial) -> float:
        return score(
            learning_rate=trial.suggest_float("learning_rate", 0.02, 0.3, log=True),
            max_leaf_nodes=trial.suggest_int("max_leaf_nodes", 7, 63, log=True),
            min_samples_leaf=trial.suggest_int("min_samples_leaf", 5, 200, log=True),
            l2_regularization=trial.suggest_float("l2_regularization", 1e-3, 10.0, log=True),
            max_iter=trial.suggest_int("max_iter", 50, 400, log=True),
        )

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=8))
    first = score()
    study.optimize(objective, n_trials=TRIALS - 1)
    return max(first, study.best_value)


@flow(task_runner=task_runner())
def by_everfit(data: TrainingData) -> tuple[float, float, CandidateResult]:
    """The training step of a turn, a task for each setting: its seconds, those of the processor, and its outcome."""
    started, began = time.perf_counter(), time.process_time()
    trial = try_candidate(data, "hist_gradient_boosting")
    return time.perf_counter() - started, time.process_time() - began, trial


def search(folder: Path) -> float:
    """Overhead of everfit's search, its tasks on record in a Prefect server, over the same one by hand."""
    training = {"candidates": ["hist_gradient_boosting"], "search": {"trials": TRIALS}}
    data = data_of(a_spec(training=training), rows_of(ROWS), folder)
    rows = data.training_rows(data.split.training)
    by_hand(rows.head(2_000))  # imports
    seconds, spent_on, best = {"by hand": [], "everfit": []}, {"by hand": [], "everfit": []}, {}
    for _ in range(2):
        started, began = time.perf_counter(), time.process_time()
        best["by hand"] = by_hand(rows)
        seconds["by hand"].append(time.perf_counter() - started)
        spent_on["by hand"].append(time.process_time() - began)
        fresh = TrainingData(data.spec, data.snapshot, data.split, data.until, data.workspace)
        spent, processor, trial = by_everfit(fresh)
        best["everfit"] = trial.score
        seconds["everfit"].append(spent)
        spent_on["everfit"].append(processor)
    overhead = min(seconds["everfit"]) / min(seconds["by hand"]) - 1
    print(f"search of {TRIALS} settings on {len(rows):,} rows, best {best}")
    print(f"  by hand {min(seconds['by hand']):.2f} s, everfit {min(seconds['everfit']):.2f} s: {overhead:+.1%}")
    by_hand_spent, spent = min(spent_on["by hand"]), min(spent_on["everfit"])
    print(f"  processor: by hand {by_hand_spent:.2f} s, everfit {spent:.2f} s: {spent / by_hand_spent - 1:+.1%}")
    return overhead


def evidence(folder: Path) -> float:
    """Seconds that the whole evidence of a large hold-out takes."""
    rows = rows_of(HOLDOUT_ROWS * 60 // 30)
    spec = a_spec(
        columns={"protected": ["group"]},
        training={"candidates": ["hist_gradient_boosting"], "holdout": "30d"},
        gate={"slices": {"columns": ["x0", "group"]}, "robustness": {"max_flip_share": 0.9}},
    )
    group = pd.array(np.where(rows["x1"] > 0, "a", "b"), dtype="str")
    data = data_of(spec, rows.assign(group=group), folder)
    challenger = fit_on(data, "hist_gradient_boosting", data.split.training, str(folder / "model"), Setting())
    started = time.perf_counter()
    passed = Validation(passed=True, rows=len(rows), bad_rows=0, outcomes=(), reasons=(), suite_inferred=False)
    result = evaluate(data, challenger, None, passed)
    judged_after = time.perf_counter() - started
    report, judged = make_report(data, challenger, result.holdout, result.calibration)
    reported_after = time.perf_counter() - started
    png_plots(report, judged)
    report_page(report, judged)
    seconds = time.perf_counter() - started
    shap = "none" if report.shap is None else f"{report.shap.method}, {report.shap.rows} rows"
    print(f"evidence of {report.rows:,} hold-out rows by {len(data.features)} features (SHAP: {shap}): {seconds:.1f} s")
    spent = [judged_after, reported_after - judged_after, seconds - reported_after]
    print("  the gate's {:.1f} s, report {:.1f} s, plots {:.1f} s".format(*spent))
    return seconds


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        environment.prepare(Settings(workspace=str(Path(folder, "workspace"))), quiet=True)
        environment.start_temporary_server()()
        overhead, seconds = search(Path(folder, "search")), evidence(Path(folder, "evidence"))
    if overhead > MOST_OVERHEAD or seconds > MOST_EVIDENCE:
        raise SystemExit("over the bounds")
