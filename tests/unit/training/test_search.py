"""A search proposes settings within bounds, the same each time, and keeps what failed with its reason."""

import time
from collections.abc import Generator, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError
from support.training import a_spec, data_of, rows_of

from everfit.blocks.search import SearchPolicy, Space
from everfit.tasks.training import search as searching
from everfit.tasks.training.search import (
    Attempt,
    Evaluate,
    Search,
    Setting,
    TuningRequest,
    TuningTrial,
    best_of,
    score_setting,
)
from everfit.tasks.training.train import try_candidate

SPACE = {"x": Space(low=-4.0, high=4.0), "kind": Space(choices=("a", "b"))}


def hill(setting: Setting) -> Iterator[float]:
    """Highest at x = 1 of kind a; the default is x = -3 of kind b."""
    x, kind = setting.parameters.get("x", -3.0), setting.parameters.get("kind", "b")
    for _ in range(2):
        yield -((x - 1) ** 2) - (kind == "b")


def search(trials: int = 25, first: tuple[Setting, ...] = (Setting(),), at_once: int = 4, **more: object) -> Search:
    given = {"spans": ("all",), "seed": 0, "greater_is_better": True, "folds": 2, **more}
    return Search("mine", SearchPolicy(trials=trials, at_once=at_once), SPACE, first=first, **given)  # type: ignore[arg-type]


def of(evaluate: Evaluate, *, at_once: int = 1, greater_is_better: bool = True) -> Attempt:
    """Tries settings so many side by side, of which the last ends first."""

    def attempt(settings: Sequence[TuningRequest], deadline: float) -> Generator[TuningTrial]:
        for start in range(0, len(settings), at_once):
            some = settings[start : start + at_once]
            given = {"greater_is_better": greater_is_better, "deadline": deadline}
            done = {item.number: score_setting(item, evaluate, **given) for item in reversed(some)}  # type: ignore[arg-type]
            yield from (done[item.number] for item in some)

    return attempt


def test_the_search_finds_better_than_the_defaults_and_the_same_each_time() -> None:
    first, again = (search().run(of(hill)) for _ in range(2))

    assert facts(first) == facts(again)
    assert len(first) == 25
    assert first[0].setting == Setting()
    best = best_of(first, greater_is_better=True)
    assert best.setting.parameters["kind"] == "a"
    assert best.score > -0.5
    assert facts(search(seed=1).run(of(hill))) != facts(first)


def facts(tries: tuple[TuningTrial, ...]) -> list[tuple[object, ...]]:
    return [(tried.setting, tried.score, tried.folds, tried.pruned) for tried in tries]


def test_what_is_found_hangs_not_on_how_many_settings_are_tried_side_by_side() -> None:
    one_by_one, side_by_side = search().run(of(hill)), search().run(of(hill, at_once=4))

    assert facts(one_by_one) == facts(side_by_side)
    assert any(item.pruned for item in one_by_one)
    proposed_after_each = search(at_once=1).run(of(hill))
    assert facts(proposed_after_each) != facts(one_by_one)


def test_a_setting_behind_the_half_of_those_before_is_given_up_but_not_after_its_last_fold() -> None:
    def falling(setting: Setting) -> Iterator[float]:
        for fold in range(3):
            fitted.append(fold)
            yield setting.parameters.get("x", 0.0) - fold

    fitted: list[int] = []
    requested = TuningRequest(candidate="mine", number=9, setting=Setting(parameters={"x": 1.0}), bounds=(1.0, 0.6))
    kept = score_setting(requested.model_copy(update={"bounds": (1.0, 0.5)}), falling, greater_is_better=True)
    assert (kept.pruned, kept.folds, kept.score) == (False, (1.0, 0.0, -1.0), 0.0)
    fitted.clear()
    given_up = score_setting(requested, falling, greater_is_better=True)
    assert (given_up.pruned, given_up.folds, given_up.score, fitted) == (True, (1.0, 0.0), None, [0, 1])
    assert not score_setting(requested, falling, greater_is_better=False).pruned
    assert score_setting(requested.model_copy(update={"bounds": (0.9, 0.6)}), falling, greater_is_better=False).pruned
    tries = search().run(of(hill))
    assert not any(tried.pruned for tried in tries[:5])
    assert {len(tried.folds) for tried in tries if tried.pruned} == {1}
    assert not any(tried.pruned for tried in search(folds=1).run(of(hill)))


def test_the_time_of_the_search_ends_it_between_two_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(searching, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    def slow(setting: Setting) -> Iterator[float]:
        clock[0] += 0.002
        yield 1.0

    policy = SearchPolicy(trials=1000, time=timedelta(milliseconds=20))
    only = Search("mine", policy, SPACE, ("all",), (Setting(),), seed=0, greater_is_better=True)
    tries = only.run(of(slow))
    assert 2 <= len(tries) <= 12
    assert all(tried.score == 1.0 for tried in tries)


def test_without_a_search_only_the_first_settings_are_tried() -> None:
    warm = Setting(parameters={"x": 0.5, "kind": "a"})
    tries = search(1, (Setting(), warm)).run(of(hill))
    assert [tried.setting for tried in tries] == [Setting(), warm]
    assert best_of(tries, greater_is_better=True).setting == warm
    assert best_of(tries, greater_is_better=False).setting == Setting()


def test_spans_of_history_compete_as_one_more_parameter() -> None:
    def recent_is_better(setting: Setting) -> Iterator[float]:
        yield {"all": 0.1, "30d": 0.2}[setting.span]

    both = (Setting(span="all"), Setting(span="30d"))
    tries = search(12, both, spans=("all", "30d")).run(of(recent_is_better))
    assert {tried.setting.span for tried in tries[2:]} == {"all", "30d"}
    assert best_of(tries, greater_is_better=True).setting.span == "30d"


def test_what_fails_is_told_and_ends_only_itself() -> None:
    def touchy(setting: Setting) -> Iterator[float]:
        if setting.parameters.get("x", 0) > 0:
            raise RuntimeError("too far")
        yield float("nan") if not setting.parameters else 1.0

    tries = search().run(of(touchy))
    assert tries[0].error == "a score is nan"
    assert {tried.error for tried in tries[1:]} == {"", "RuntimeError: too far"}
    assert best_of(tries, greater_is_better=True).score == 1.0


def test_the_deadline_ends_the_search_with_what_it_has() -> None:
    reported: list[int] = []
    tries = search(deadline=time.perf_counter() - 1).run(of(hill), lambda number, _: reported.append(number))
    assert reported == [0]
    assert tries[0].error == "took longer than training.time_limit"


def test_a_space_must_have_room() -> None:
    for wrong in ({"low": 2, "high": 1}, {"low": 0, "high": 1, "log": True}, {"low": 1}, {"choices": [1], "low": 0}):
        with pytest.raises(ValidationError):
            Space.model_validate(wrong)


@pytest.mark.slow
def test_a_candidate_is_searched_on_folds_of_the_training_rows_alone(tmp_path: Path) -> None:
    training = {
        "search": {"trials": 4, "spaces": {"logistic_regression": {"C": {"low": 0.01, "high": 1.0, "log": True}}}},
        "folds": 2,
        "window": "best",
        "windows": ["all", "25d"],
    }
    data = data_of(a_spec(training=training), rows_of(), tmp_path)
    trial = try_candidate(data, "logistic_regression", Setting(parameters={"C": 0.3}, span="25d"))

    assert trial.error == ""
    assert [tried.setting.span for tried in trial.tries[:3]] == ["all", "25d", "25d"]
    assert trial.tries[2].setting.parameters == {"C": 0.3}
    assert len(trial.tries) == 4
    assert 0.01 <= trial.tries[3].setting.parameters["C"] <= 1.0
    assert trial.score == max(tried.score for tried in trial.tries if tried.score is not None)
    assert trial.rows == len(data.training_rows(data.split.training))
