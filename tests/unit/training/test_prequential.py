"""The procedure is judged as it would have been used: on rows after those it was chosen by and fitted on."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.training import UNTIL, a_spec, data_of, rows_of

from everfit.blocks.errors import TrainingError
from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.data.cut import cut
from everfit.tasks.data.split import TrainingData
from everfit.tasks.data.validate import Validation
from everfit.tasks.evaluation.evaluate import evaluate
from everfit.tasks.evaluation.measurement import Incumbent
from everfit.tasks.gate import decide
from everfit.tasks.statistics.newest_parts import Gain
from everfit.tasks.training import competition, prequential
from everfit.tasks.training.in_process import FittedModel
from everfit.tasks.training.prequential import fit_prequentially
from everfit.tasks.training.results import CandidateResult, Choice, Fitted, read_model
from everfit.tasks.training.search import Setting
from everfit.tasks.training.spans import competing_spans
from everfit.tasks.training.train import fit_on


def turned(rows: pd.DataFrame, days: float) -> pd.DataFrame:
    """The same rows, in a world whose labels turn around some days before the end."""
    after = rows["at"] >= UNTIL - timedelta(days=days)
    return rows.assign(y=np.where(after, 1 - rows["y"], rows["y"]))


def cut_for(data: TrainingData, seen_days: float | None) -> TrainingData:
    seen = None if seen_days is None else UNTIL - timedelta(days=seen_days)
    return replace(data, split=cut(data.spec, data.workspace.table("small", "dataset"), UNTIL, seen))


def results(*candidates: str) -> list[CandidateResult]:
    return [
        CandidateResult(candidate=name, metric="roc_auc", score=0.9 - 0.1 * rank, rows=9, seconds=1)
        for rank, name in enumerate(candidates or ("logistic_regression",))
    ]


def fitted(data: TrainingData, *candidates: str, former: tuple[Choice, ...] = ()) -> Fitted:
    path = data.workspace.turn_file("small", "t", "challenger.skops")
    return fit_prequentially(data, results(*candidates), path, former)


def a_world(tmp_path: Path, days: float | None = None, rows: int = 3000, **parts: Any) -> TrainingData:
    frame = rows_of(rows=rows)
    spec = a_spec(gate={"min_rows": 50}, **parts)
    return cut_for(data_of(spec, frame if days is None else turned(frame, days), tmp_path), seen_days=30)


@pytest.mark.slow
def test_each_model_is_fitted_on_all_rows_before_those_it_is_judged_on(tmp_path: Path) -> None:
    data = a_world(tmp_path)
    challenger = fitted(data)
    first, *ends = [one.trained_on.until for one in challenger.chain]
    assert data.split.holdout.since is not None
    assert first <= data.split.holdout.since
    assert ends
    assert set(ends) <= set(data.split.refits)
    rows = data.rows(data.split.holdout, "judge on")
    parts = challenger.judged(rows["at"])
    assert np.sum(parts, axis=0).tolist() == [1] * len(rows)
    for one, judged in zip(challenger.chain, parts, strict=True):
        assert rows["at"][judged].min() >= one.trained_on.until
        assert read_model(one, data.workspace).predict(rows[data.features].head(2)).shape == (2,)


@pytest.mark.slow
def test_no_file_but_those_of_the_chain_is_left(tmp_path: Path) -> None:
    data = a_world(tmp_path)
    challenger = fitted(data)
    folder = Path(challenger.path).parent
    assert sorted(map(str, folder.iterdir())) == sorted(one.path for one in challenger.chain)


@pytest.mark.slow
def test_after_a_change_the_newest_rows_alone_are_learned_from(tmp_path: Path) -> None:
    """Given labels that turn around four days ago, then the newest model has learned from the new world alone."""
    challenger = fitted(a_world(tmp_path, days=8, rows=6000))
    assert challenger.setting.span != "all"
    assert challenger.choice.setting.span != "all"
    assert challenger.earlier[0].setting.span == "all"


@pytest.mark.slow
def test_without_a_change_all_history_stays(tmp_path: Path) -> None:
    challenger = fitted(a_world(tmp_path))
    assert [one.setting.span for one in challenger.chain] == ["all"] * len(challenger.chain)
    assert challenger.choice == Choice(candidate="logistic_regression")


@pytest.mark.slow
@pytest.mark.parametrize(("errors", "leads"), [(1.8, True), (1.5, False)])
def test_a_shorter_span_leads_by_a_gain_that_is_certain_at_95_per_cent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: float, leads: bool
) -> None:
    def gain(_: competition.Competition, entrant: competition._Entrant) -> Gain:
        return Gain(0.0, 0.0) if entrant.choice.setting.span == "all" else Gain(errors * 0.01, 0.01)

    monkeypatch.setattr(competition.Competition, "_gain_over_leader", gain)
    spec_of_two = {"training": {"window": "best", "windows": ["all", "20d"]}}
    challenger = fitted(a_world(tmp_path, rows=1200, **spec_of_two))
    assert challenger.choice.setting.span == ("20d" if leads else "all")


@pytest.mark.slow
@pytest.mark.parametrize(("errors", "lasts"), [(1.2, True), (0.8, False)])
def test_a_shorter_span_that_is_not_clearly_ahead_any_more_gives_the_lead_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: float, lasts: bool
) -> None:
    """Given 20 days that led on the first part, then their lead over all history has to last on the next ones."""

    def gain(field: competition.Competition, entrant: competition._Entrant) -> Gain:
        if entrant is field._leader:
            return Gain(0.0, 0.0)
        if entrant.choice.setting.span == "all":
            return Gain(-errors * 0.01, 0.01)
        return Gain(0.03 if len(field._truth) == 1 else 0.0, 0.01)

    monkeypatch.setattr(competition.Competition, "_gain_over_leader", gain)
    spec_of_two = {"training": {"window": "best", "windows": ["all", "20d"]}}
    challenger = fitted(a_world(tmp_path, rows=3000, **spec_of_two))
    assert challenger.earlier[0].setting.span == "20d"
    assert challenger.choice.setting.span == ("20d" if lasts else "all")


@pytest.mark.slow
def test_the_last_part_chooses_nothing_that_it_judges(tmp_path: Path) -> None:
    """Given labels of the last part that say the opposite, then the models that are judged there are the same."""
    data = a_world(tmp_path / "a", rows=3000)
    last = data.split.refits[-1]
    frame = rows_of(rows=3000)
    changed = frame.assign(y=np.where(frame["at"] >= last, 1 - frame["y"], frame["y"]))
    other = cut_for(data_of(data.spec, changed, tmp_path / "b"), seen_days=30)
    chain, same = fitted(data).chain, fitted(other).chain
    assert [(one.setting, one.trained_on) for one in chain] == [(one.setting, one.trained_on) for one in same]
    rows = data.rows(data.split.holdout, "judge on")[data.features]
    for one, again in zip(chain, same, strict=True):
        predicted = read_model(one, data.workspace).predict_proba(rows)
        assert (read_model(again, other.workspace).predict_proba(rows) == predicted).all()


@pytest.mark.slow
def test_a_candidate_that_fails_leaves_the_field_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = competition.fit_model

    def broken(data: TrainingData, choice: Choice, *rest: Any) -> FittedModel:
        if choice.candidate == "random_forest":
            raise ValueError("no forest here")
        return real(data, choice, *rest)

    monkeypatch.setattr(competition, "fit_model", broken)
    challenger = fitted(a_world(tmp_path), "random_forest", "logistic_regression")
    assert {one.candidate for one in challenger.chain} == {"logistic_regression"}
    monkeypatch.setattr(competition, "fit_model", lambda *_: 1 / 0)
    with pytest.raises(TrainingError, match="no candidate could be fitted"):
        fitted(a_world(tmp_path / "b"))


def fits_of(data: TrainingData, monkeypatch: pytest.MonkeyPatch, *candidates: str) -> list[tuple[Choice, Window]]:
    """Let procedures compete, and return what was fitted on which window."""
    made: list[tuple[Choice, Window]] = []
    real = competition.fit_model

    def noted(data: TrainingData, choice: Choice, window: Window, scratch: str) -> FittedModel:
        made.append((choice, window))
        return real(data, choice, window, scratch)

    monkeypatch.setattr(competition, "fit_model", noted)
    fitted(data, *candidates)
    return made


@pytest.mark.slow
def test_a_model_is_fitted_again_when_enough_of_its_rows_are_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = a_world(tmp_path, rows=6000)
    made = fits_of(data, monkeypatch)
    moments = [moment for moment in (data.split.chosen_from, data.split.holdout.since, *data.split.refits) if moment]
    ends = {
        span: [window.until for choice, window in made if choice.setting.span == span] for span in ("all", "15d", "90h")
    }
    rows = [len(data.training_rows(Window(until=end))) for end in ends["all"]]
    assert all(later >= earlier / 0.95 - 1 for earlier, later in pairwise(rows))
    assert len(ends["all"]) < len(moments)
    assert len(ends["15d"]) < len(moments)
    assert ends["90h"] == moments


@pytest.mark.slow
def test_a_candidate_that_surely_loses_is_not_fitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weak: dict[str, Any] = {"candidates": ["logistic_regression", "hist_gradient_boosting"]}
    weak |= {"parameters": {"hist_gradient_boosting": {"max_iter": 1, "max_leaf_nodes": 2}}}
    data = a_world(tmp_path, rows=6000, training=weak)
    made = fits_of(data, monkeypatch, "logistic_regression", "hist_gradient_boosting")
    assert [choice.candidate for choice, _ in made].count("hist_gradient_boosting") == 1


@pytest.mark.slow
def test_of_candidates_on_as_much_history_the_better_one_leads(tmp_path: Path) -> None:
    """Given a candidate that did worse on the training rows, but does better on later ones, then it is taken over."""
    weak: dict[str, Any] = {"candidates": ["hist_gradient_boosting", "logistic_regression"], "window": "all"}
    weak |= {"parameters": {"hist_gradient_boosting": {"max_iter": 40, "learning_rate": 0.02}}}
    challenger = fitted(a_world(tmp_path, rows=1200, training=weak), "hist_gradient_boosting", "logistic_regression")
    assert {one.candidate for one in challenger.chain} == {"logistic_regression"}  # from the first part on


def test_what_a_former_champion_was_fitted_with_competes(tmp_path: Path) -> None:
    setting = Setting(parameters={"C": 0.03}, span="9d")
    former = Choice(candidate="logistic_regression", setting=setting)
    data = a_world(tmp_path)
    assert former in prequential._procedures(data, results(), (former,))
    gone = Choice(candidate="random_forest")
    assert gone not in prequential._procedures(data, results(), (gone,))


@pytest.mark.slow
def test_spans_compete_as_long_as_they_have_rows(tmp_path: Path) -> None:
    data = a_world(tmp_path, rows=1200)
    assert competing_spans(data) == ("all", "15d")
    assert competing_spans(a_world(tmp_path / "b", rows=3000)) == ("all", "15d", "90h")
    everything = a_world(tmp_path / "c").spec.model_copy(
        update={"training": data.spec.training.model_copy(update={"window": "all"})}
    )
    assert competing_spans(replace(data, spec=everything)) == ("all",)


@pytest.mark.slow
def test_only_what_came_after_a_change_is_evidence(tmp_path: Path) -> None:
    """Given labels that turn around eight days ago, then the gate judges by rows since, and releases."""
    data = a_world(tmp_path, days=8, rows=6000)
    seen = UNTIL - timedelta(days=30)
    old = fit_on(data, "logistic_regression", Window(until=seen), data.workspace.turn_file("small", "t", "old.skops"))
    version = ModelVersion(model="small", version=1, run_id="r", trained_until=seen)
    champion = Incumbent(version, read_model(old, data.workspace))
    passed = Validation(passed=True, rows=6000, bad_rows=0, outcomes=(), reasons=(), suite_inferred=False)

    evidence = evaluate(data, fitted(data), champion, passed)

    assert evidence.holdout.since is not None
    assert evidence.holdout.since >= UNTIL - timedelta(days=8)
    assert evidence.holdout_rows < len(data.rows(data.split.holdout, "judge on"))
    assert decide(evidence, data.spec.gate).verdict == "promote"
