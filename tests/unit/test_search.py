"""A search proposes settings within bounds, the same each time, and keeps what failed with its reason."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from support.training import a_spec, data_of, rows_of

from everfit.blocks.search import SearchPolicy, Space
from everfit.tasks.learning.search import Search, Setting, Try, best_of
from everfit.tasks.learning.train import try_candidate

SPACE = {"x": Space(low=-4.0, high=4.0), "kind": Space(choices=("a", "b"))}


def hill(setting: Setting) -> Iterator[float]:
    """Highest at x = 1 of kind a; the default is x = -3 of kind b."""
    x, kind = setting.parameters.get("x", -3.0), setting.parameters.get("kind", "b")
    for _ in range(2):
        yield -((x - 1) ** 2) - (kind == "b")


def search(trials: int = 25, first: tuple[Setting, ...] = (Setting(),), **more: object) -> Search:
    given = {"spans": ("all",), "seed": 0, "greater_is_better": True, **more}
    return Search(SearchPolicy(trials=trials), SPACE, first=first, **given)  # type: ignore[arg-type]


def test_the_search_finds_better_than_the_defaults_and_the_same_each_time() -> None:
    first, again = (search().run(hill) for _ in range(2))

    def facts(tries: tuple[Try, ...]) -> list[tuple[object, ...]]:
        return [(each.setting, each.score, each.folds) for each in tries]

    assert facts(first) == facts(again)
    assert len(first) == 25
    assert first[0].setting == Setting()
    best = best_of(first, greater_is_better=True)
    assert best.setting.parameters["kind"] == "a"
    assert best.score > -0.5
    assert facts(search(seed=1).run(hill)) != facts(first)


def test_without_a_search_only_the_first_settings_are_tried() -> None:
    warm = Setting(parameters={"x": 0.5, "kind": "a"})
    tries = search(1, (Setting(), warm)).run(hill)
    assert [each.setting for each in tries] == [Setting(), warm]
    assert best_of(tries, greater_is_better=True).setting == warm
    assert best_of(tries, greater_is_better=False).setting == Setting()


def test_spans_of_history_compete_as_one_more_parameter() -> None:
    def recent_is_better(setting: Setting) -> Iterator[float]:
        yield {"all": 0.1, "30d": 0.2}[setting.span]

    both = (Setting(span="all"), Setting(span="30d"))
    tries = search(12, both, spans=("all", "30d")).run(recent_is_better)
    assert {each.setting.span for each in tries[2:]} == {"all", "30d"}
    assert best_of(tries, greater_is_better=True).setting.span == "30d"


def test_what_fails_is_told_and_ends_only_itself() -> None:
    def touchy(setting: Setting) -> Iterator[float]:
        if setting.parameters.get("x", 0) > 0:
            raise RuntimeError("too far")
        yield float("nan") if not setting.parameters else 1.0

    tries = search().run(touchy)
    assert tries[0].error == "a score is nan"
    assert {each.error for each in tries[1:]} == {"", "RuntimeError: too far"}
    assert best_of(tries, greater_is_better=True).score == 1.0


def test_the_deadline_ends_the_search_with_what_it_has() -> None:
    told: list[int] = []
    tries = search(deadline=time.perf_counter() - 1).run(hill, lambda number, _: told.append(number))
    assert told == [0]
    assert tries[0].error == "took longer than training.time_limit"


def test_a_space_must_have_room() -> None:
    for wrong in ({"low": 2, "high": 1}, {"low": 0, "high": 1, "log": True}, {"low": 1}, {"choices": [1], "low": 0}):
        with pytest.raises(ValidationError):
            Space.model_validate(wrong)


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
    assert [each.setting.span for each in trial.tries[:3]] == ["all", "25d", "25d"]
    assert trial.tries[2].setting.parameters == {"C": 0.3}
    assert len(trial.tries) == 4
    assert 0.01 <= trial.tries[3].setting.parameters["C"] <= 1.0
    assert trial.score == max(each.score for each in trial.tries if each.score is not None)
    assert trial.rows == len(data.training_rows(data.split.training))
