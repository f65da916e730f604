"""A candidate of the user's own is tried and fitted in a process of its own, and one that fails says why."""

import os
import textwrap
from pathlib import Path

import numpy as np
import pytest
from support.training import a_spec, data_of, rows_of
from support.warm_popen import let_fork

from everfit.blocks.errors import ModelError, TrainingError
from everfit.tasks.models.trusted_nodes import TRUSTED_VARIABLE
from everfit.tasks.training import isolated
from everfit.tasks.training.in_process import try_in_process
from everfit.tasks.training.results import Choice, read_model
from everfit.tasks.training.search import Setting, TuningRequest
from everfit.tasks.training.train import fit_best, fit_model, fit_on, keep_model, try_candidate

FACTORIES = """
    import time
    import numpy as np
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.linear_model import LogisticRegression

    def good(C=1.0):
        import logging
        logging.getLogger("everfit.training").warning("a worker is gone, C is %s", C)
        return LogisticRegression(C=C)

    def raises():
        raise RuntimeError("no licence")

    class Odd(ClassifierMixin, BaseEstimator):
        def __init__(self, how="nan"):
            self.how = how
        def fit(self, X, y):
            self.classes_ = np.unique(y)
            if self.how == "slow":
                time.sleep(60)
            if self.how == "dies":
                import os
                os._exit(3)
            return self
        def predict_proba(self, X):
            return np.full((len(X), len(self.classes_)), np.nan if self.how == "nan" else 0.5)
        def predict(self, X):
            return np.full(len(X), self.classes_[0])

    def drawn(C=None):
        import os
        with open(os.environ["SEEN"], "a") as seen:
            print(os.getpid(), file=seen)
        return LogisticRegression(C=C or np.random.uniform(0.4, 0.6))

    def nan(): return Odd("nan")
    def slow(): return Odd("slow")
    def dies(): return Odd("dies")
    def strange(): return Odd("half")
"""


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "mine_for_tests.py").write_text(textwrap.dedent(FACTORIES))
    monkeypatch.syspath_prepend(str(tmp_path))
    let_fork(monkeypatch, isolated)  # the candidate of the documentation starts the program
    return "mine_for_tests"


def test_the_candidate_of_the_documentation_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "own-flows.md").read_text()
    code = page[page.index("    from sklearn.neighbors") :].split("\n\n    training:")[0]
    (tmp_path / "shop_of_the_page.py").write_text(textwrap.dedent(code))
    monkeypatch.syspath_prepend(str(tmp_path))
    name = "shop_of_the_page:neighbours"
    data = data_of(
        a_spec(training={"candidates": [name], "parameters": {name: {"n_neighbors": 50}}}), rows_of(), tmp_path
    )

    fitted = fit_on(data, name, data.split.training, str(tmp_path / "model"))

    assert len(read_model(fitted, data.workspace).predict(rows_of()[data.features].head(3))) == 3


def test_a_users_own_candidate_is_tried_like_any_other(
    factories: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"{factories}:good"
    data = data_of(a_spec(training={"candidates": [name]}), rows_of(), tmp_path)
    trial = try_candidate(data, name)
    model = fit_model(data, Choice(candidate=name), data.split.training, str(tmp_path / "scratch"))
    fitted = keep_model(data, Choice(candidate=name), model, str(tmp_path / "model"))

    assert "a worker is gone, C is 1.0" in caplog.messages  # everfit's warnings come from its process into the log
    assert not (tmp_path / "scratch").exists()
    assert (fitted.rows, fitted.trained_on) == (model.rows, data.split.training)
    assert trial.score is not None
    assert trial.score > 0.8
    assert read_model(fitted, data.workspace).predict(rows_of()[data.features]).shape == (900,)


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("raises", "RuntimeError: no licence"),
        ("nan", "NaN or infinite"),
        ("missing", "has no attribute 'missing'"),
    ],
)
def test_a_users_candidate_that_fails_says_why(factory: str, reason: str, factories: str, tmp_path: Path) -> None:
    name = f"{factories}:{factory}"
    data = data_of(a_spec(training={"candidates": [name]}), rows_of(), tmp_path)
    tried = try_in_process(data, TuningRequest(candidate=name, number=1, setting=Setting()), 60.0)
    assert tried.score is None
    assert reason in tried.error


@pytest.mark.parametrize(
    ("factory", "reason"),
    [("dies", "ended with code 3"), ("slow", "took longer than training.time_limit, 1s")],
)
def test_a_users_candidate_that_fails_ends_with_its_reason(
    factory: str, reason: str, factories: str, tmp_path: Path
) -> None:
    name = f"{factories}:{factory}"
    data = data_of(
        a_spec(training={"candidates": [name, "logistic_regression"], "time_limit": "1s", "folds": 1}),
        rows_of(),
        tmp_path,
    )
    trial = try_candidate(data, name)

    assert trial.score is None
    assert reason in trial.error
    chosen = fit_best(
        data, [trial, try_candidate(data, "logistic_regression")], data.split.training, str(tmp_path / "m")
    )
    assert chosen.candidate == "logistic_regression"


def test_settings_of_a_users_candidate_share_a_process_and_not_what_was_drawn_at_random(
    factories: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    name = f"{factories}:drawn"
    search = {"trials": 3, "at_once": 1, "spaces": {name: {"C": {"choices": [None]}}}}
    data = data_of(a_spec(training={"candidates": [name], "search": search, "folds": 1}), rows_of(), tmp_path)
    trial = try_candidate(data, name)
    again = fit_on(data, name, data.split.training, str(tmp_path / "model"), trial.setting)

    assert len({tried.score for tried in trial.tries}) == 1
    pids = (tmp_path / "seen").read_text().split()
    assert pids == [pids[0]] * 3 + [pids[-1]]
    assert os.getpid() not in map(int, pids)
    drawn = np.random.RandomState(data.spec.training.seed).uniform(0.4, 0.6)
    assert read_model(again, data.workspace).steps[-1][1].get_params()["C"] == drawn
    assert not any(Path("/proc", pid).exists() for pid in pids)


def test_a_type_that_is_not_trusted_is_refused_until_the_operator_trusts_it(
    factories: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{factories}:strange"
    data = data_of(a_spec(training={"candidates": [name]}), rows_of(), tmp_path)
    with pytest.raises(TrainingError, match=f"{TRUSTED_VARIABLE}={factories}.Odd"):
        fit_on(data, name, data.split.training, str(tmp_path / "model"))

    monkeypatch.setenv(TRUSTED_VARIABLE, f"{factories}.Odd")
    fitted = fit_on(data, name, data.split.training, str(tmp_path / "model"))
    assert read_model(fitted, data.workspace).predict(rows_of()[data.features]).size == 900
    monkeypatch.delenv(TRUSTED_VARIABLE)
    with pytest.raises(ModelError, match="does not trust"):
        read_model(fitted, data.workspace)
