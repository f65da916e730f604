"""The outcome of lives and a matrix, and how it is shown."""

from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from support.deliveries import SPEC

from everfit.blocks.spec import ModelSpec
from everfit.tasks.rehearsal.life import Life, LivedWindow
from everfit.tasks.rehearsal.matrix import Matrix
from everfit.tasks.rehearsal.outcome import BOUND, CUSUM, EACH, STILL, Rehearsal, assemble
from everfit.tasks.rehearsal.page import cells, columns, rehearsal_page, rehearsal_text, windows_table
from everfit.tasks.rehearsal.plan import SPEC as AS_IT_IS
from everfit.tasks.rehearsal.plan import RehearsalPlan, Rehearsed
from everfit.tasks.training.results import Choice

WINDOWS = 10
ENDS = tuple(datetime(2024, 1, 1, tzinfo=UTC) + number * timedelta(days=7) for number in range(WINDOWS + 1))
PATCH = {"training": {"window": "all"}}
PLAN = RehearsalPlan(
    model="deliveries",
    ends=ENDS,
    until=ENDS[-1],
    policies=(Rehearsed(name=AS_IT_IS), Rehearsed(name="all of it", patch=PATCH)),
    notes=("A <note>.",),
)


def quality(fit: int, window: int) -> float | None:
    """From the fifth window on models of before are worse."""
    return None if window < fit else 0.8 - 0.002 * (window % 3) - (0.1 if window >= 4 > fit else 0.0)


def life(release: int, gain: float = 0.0) -> Life:
    """A life that releases a model once."""
    windows = tuple(
        LivedWindow(
            since=ENDS[place],
            until=ENDS[place + 1],
            rows=100,
            version=1 + (place >= release),
            quality=(quality(release if place >= release else 0, place) or 0.0) + gain,
        )
        for place in range(WINDOWS)
    )
    choice = Choice(candidate="logistic_regression")
    return Life(windows=windows, first=0, choice=choice, turns=(2, release, WINDOWS), releases=(release,), seconds=9.0)


def matrix() -> Matrix:
    rows = tuple(tuple(quality(fit, window) for window in range(WINDOWS)) for fit in range(WINDOWS))
    return Matrix(quality=rows, seconds=(1.0,) * WINDOWS, fitted=(True,) * WINDOWS, chance=0.5)


@pytest.fixture
def outcome() -> Rehearsal:
    spec = ModelSpec.model_validate(SPEC)
    return assemble(spec, PLAN, {AS_IT_IS: life(5), "all of it": life(5, 0.01)}, matrix(), None)


def test_all_policies_are_compared_over_the_same_windows(outcome: Rehearsal) -> None:
    by_name = {standing.policy: standing for standing in outcome.standings}
    assert list(by_name)[:4] == [AS_IT_IS, "all of it", STILL, EACH]
    assert windows_table(outcome)[0][-1] == BOUND  # no window has a remark
    assert by_name[STILL].share == 0.0
    assert by_name[BOUND].share == 1.0
    each, best = 0.6, 0.69  # .1 in six windows, and .01 in those nine in which the model of the patch is the best
    assert by_name[EACH].share == pytest.approx(each / best)
    assert by_name[AS_IT_IS].share == pytest.approx(0.5 / best)  # of these six windows it was one late
    assert by_name["all of it"].share == pytest.approx(0.6 / best)
    assert (by_name[AS_IT_IS].turns, by_name[AS_IT_IS].releases, by_name[AS_IT_IS].needless) == (2, 1, 1)
    assert by_name[BOUND].turns == 2  # before windows 4 and 5
    assert (by_name[EACH].turns, by_name[EACH].seconds) == (9, 9.0)
    assert by_name[CUSUM].turns >= 1
    assert outcome.recommendation.verdict == "change"
    assert outcome.recommendation.patch == PATCH


@pytest.mark.parametrize("price", [0.0, 0.02, 0.2])
def test_the_bound_is_the_best_of_all_plans_over_all_models(price: float) -> None:
    spec, lives = ModelSpec.model_validate(SPEC), {AS_IT_IS: life(5), "all of it": life(3, 0.01)}
    found = assemble(spec, PLAN, lives, matrix(), price)

    def best_quality(fit: int, window: int) -> float:
        """Of the models that any policy has fitted then: that of the matrix, and those that the specs have released."""
        known = [quality(fit, window) or 0.0]
        for lived, release in ((lives[AS_IT_IS], 5), (lives["all of it"], 3)):
            if fit == (release if window >= release else 0):
                known.append(lived.windows[window].quality or 0.0)
        return max(known)

    plans = [fits for count in range(WINDOWS) for fits in combinations(range(1, WINDOWS), count)]
    brought = [
        sum(best_quality(max((0, *(fit for fit in fits if fit <= window))), window) for window in range(WINDOWS))
        - price * len(fits)
        for fits in plans
    ]
    assert sum(value or 0.0 for value in found.scale.payoff(found.play(BOUND))) == pytest.approx(max(brought))


def test_a_price_of_turns_changes_what_is_best() -> None:
    spec = ModelSpec.model_validate(SPEC)
    dear = assemble(spec, PLAN, {AS_IT_IS: life(5)}, matrix(), 5.0)
    assert dear.play(BOUND).turns == ()
    assert dear.recommendation.policy == STILL


def test_a_cadence_of_every_window_is_named_once() -> None:
    """Given models that are always better when they are newer, then the best cadence is that of each window."""
    spec = ModelSpec.model_validate(SPEC)
    newer = matrix().model_copy(
        update={
            "quality": tuple(
                tuple(0.5 + 0.02 * fit if fit <= place else None for place in range(WINDOWS)) for fit in range(WINDOWS)
            )
        }
    )
    rules = [play.policy for play in assemble(spec, PLAN, {AS_IT_IS: life(5)}, newer, None).plays if play.turns]
    assert [name for name in rules if name.startswith(EACH)] == [f"{EACH} (the best fixed cadence)"]
    assert not [name for name in rules if name.startswith("best fixed")]


def test_without_a_release_the_reason_is_told() -> None:
    nothing = Life(windows=(), first=None, notes=("2024-01-01: no row",))
    found = assemble(ModelSpec.model_validate(SPEC), PLAN, {AS_IT_IS: nothing}, None, None)
    assert found.recommendation.reasons[0].startswith("The spec released no model")
    assert f"{AS_IT_IS}, 2024-01-01: no row" in found.notes
    assert "released no model" in rehearsal_page(found)


def test_windows_that_can_not_be_told_have_a_remark() -> None:
    lived = life(5)
    blank = lived.windows[3].model_copy(update={"quality": None, "rows": 0})
    lived = lived.model_copy(update={"windows": (*lived.windows[:3], blank, *lived.windows[4:])})
    found = assemble(ModelSpec.model_validate(SPEC), PLAN, {AS_IT_IS: lived}, matrix(), None)
    assert found.windows[3].note == "no label is known and mature at the end"
    assert windows_table(found)[0][-1] == "remark"
    assert "1 window has no quality; its reason is in the table" in " ".join(found.notes)
    assert found.standings[0].quality is not None
    assert found.standings[0].quality.windows == WINDOWS - 1


def test_money_counts_where_the_spec_values_quality() -> None:
    benefit = {"value_per_metric_unit": 2.0, "cost_per_turn": 3.0, "unit": "EUR"}
    spec = ModelSpec.model_validate({**SPEC, "retraining": {"cost_benefit": benefit}})
    worth = matrix().model_copy(
        update={
            "money": tuple(tuple(None if value is None else 200 * value for value in row) for row in matrix().quality)
        }
    )
    paid = life(5)
    paid = paid.model_copy(
        update={
            "windows": tuple(
                window.model_copy(update={"money": 200 * (window.quality or 0.0)}) for window in paid.windows
            )
        }
    )
    found = assemble(spec, PLAN, {AS_IT_IS: paid}, worth, None)
    assert columns(found)[-1] == "value EUR"
    standing = found.standings[0]
    assert standing.money == pytest.approx(sum(window.money or 0.0 for window in paid.windows) - 2 * 3.0)
    assert cells(standing, found)[-1] == f"{standing.money:,.2f}"


@pytest.mark.slow
def test_the_page_needs_no_network_and_escapes_what_others_wrote(outcome: Rehearsal) -> None:
    page = rehearsal_page(outcome)
    assert "A &lt;note&gt;." in page
    assert "<link" not in page
    assert "<script src" not in page
    assert page.count("Plotly.newPlot") >= 3
    text = rehearsal_text(outcome)
    assert "Change the spec." in text
    assert "training.window: all" in text


def test_what_the_real_loop_was_worth_is_shown_as_since_then(outcome: Rehearsal) -> None:
    assert "Since then" not in rehearsal_page(outcome)
    shown = outcome.model_copy(update={"since_then": (("month", "turns"), ("2024-03", "7 <turns>"))})
    assert "<h2>Since then</h2>" in rehearsal_page(shown)
    assert "7 &lt;turns&gt;" in rehearsal_page(shown)
    assert "## Since then" in rehearsal_text(shown)
