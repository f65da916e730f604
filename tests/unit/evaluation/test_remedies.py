"""In worlds where one remedy is known to be enough, it is taken; more worlds are in bench/bench_remedies.py."""

from pathlib import Path

import numpy as np
import pytest
from support.remedied_worlds import EXPECTED, MOVED, treated

from everfit.tasks.core.records import Window
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation.remedies import fit_remedy
from everfit.tasks.evaluation.remedy_ladder import EarlierVersion
from everfit.tasks.models.skops_format import load_model
from everfit.tasks.training.results import Choice, Fitted, read_model
from everfit.tasks.training.train import fit_on


@pytest.mark.slow
@pytest.mark.parametrize("world", ["nothing", "prior", "intercept", "answers", "concept", "worth"])
def test_the_known_remedy_is_taken(world: str, tmp_path: Path) -> None:
    assert treated(world, seed=0, folder=tmp_path).outcome == EXPECTED[world]


@pytest.mark.slow
def test_where_the_settings_are_from_few_rows_a_refit_is_no_substitute_for_a_search(tmp_path: Path) -> None:
    done = treated("concept", seed=0, folder=tmp_path, searched_rows=1000)
    assert done.outcome == "search"
    assert "its settings were searched on 1,000 rows" in done.treatment.tried.summary


@pytest.mark.slow
def test_a_refit_that_is_not_asked_for_still_shows_that_less_is_not_enough(tmp_path: Path) -> None:
    done = treated("concept", seed=0, folder=tmp_path, retraining={"remedies": ["recalibration"]})
    assert done.outcome == "search"


@pytest.mark.slow
def test_a_former_champion_that_knows_the_new_world_is_released_again(tmp_path: Path) -> None:
    elsewhere = treated("concept", seed=9, folder=tmp_path / "then").data
    path = elsewhere.workspace.turn_file("small", "f", "former.skops")
    window = Window(since=MOVED, until=elsewhere.split.whole.until)
    fitted = fit_on(elsewhere, "logistic_regression", window, path)
    model = read_model(fitted, elsewhere.workspace)
    former = EarlierVersion(7, model, Choice(candidate="logistic_regression"))

    done = treated("concept", seed=0, folder=tmp_path / "now", former=(former,))

    assert done.outcome == "former champion 7"
    assert done.treatment.challenger is not None
    again = fit_remedy(done.data, done.treatment.challenger, done.treatment.tried, path.replace("former", "again"))
    assert again.remedied is not None
    assert again.remedied.version == 7
    then, now = (one.steps[-1][1].coef_.tolist() for one in (model, read_model(again, done.data.workspace)))
    assert then == now  # the same model, under a new number
    # One that knows nothing of the new world is no remedy.
    champion = EarlierVersion(8, read_model(elsewhere_champion(elsewhere), elsewhere.workspace), former.choice)
    assert treated("concept", seed=0, folder=tmp_path / "other", former=(champion,)).outcome == "refit"


def elsewhere_champion(data: TrainingData) -> Fitted:
    """Fit a model on the rows before the world moved."""
    path = data.workspace.turn_file("small", "f", "old.skops")
    return fit_on(data, "logistic_regression", Window(until=MOVED), path)


WORTH = {"metric": "roc_auc", "business_value": {"true_positive": 10, "false_positive": -10, "unit": "EUR"}}


@pytest.mark.slow
def test_by_its_business_value_a_champion_acts_from_another_probability_on(tmp_path: Path) -> None:
    done = treated("worth", seed=0, folder=tmp_path, training=WORTH)

    tried, challenger = done.treatment.tried, done.treatment.challenger
    assert tried.value is not None
    assert tried.value.after > tried.value.before + tried.value.error
    assert "another threshold (threshold), acting from 0.9" in tried.summary
    assert "business value per row: no change -" in tried.summary
    assert tried.error_share == 0.1  # the other half is for a remedy by the metric
    assert challenger is not None
    assert all(one.threshold is not None and one.threshold > 0.8 for one in challenger.chain)
    assert done.decision is not None
    assert done.decision.verdict == "promote"
    assert "business value per row" in done.decision.reasons[0]
    (bound,) = [figure for figure in done.decision.figures if figure.name == "must be above"]
    assert bound.origin == "any gain in business value"

    fitted = fit_remedy(done.data, challenger, tried, challenger.path.replace("remedy", "all"))

    # The odds of all rows fell by exp(-2.5), and acting pays from a true probability of one half on.
    assert fitted.threshold == pytest.approx(1 / (1 + np.exp(-2.5)), abs=0.05)
    rows = done.data.training_rows(done.data.split.whole)[list(fitted.features)]
    base = load_model(done.data.workspace.read(challenger.remedied.base if challenger.remedied else ""))
    assert (read_model(fitted, done.data.workspace).predict_proba(rows) == base.predict_proba(rows)).all()


@pytest.mark.slow
def test_where_nothing_moved_no_other_threshold_is_worth_more(tmp_path: Path) -> None:
    assert treated("nothing", seed=0, folder=tmp_path, training=WORTH).outcome == "nothing"


@pytest.mark.slow
def test_a_threshold_by_value_is_not_tried_unless_the_spec_asks_for_it(tmp_path: Path) -> None:
    done = treated("worth", seed=0, folder=tmp_path, training=WORTH, retraining={"remedies": ["refit"]})
    assert done.treatment.tried.value is None
    assert done.outcome != "threshold"


@pytest.mark.slow
def test_the_models_of_the_chain_have_seen_none_of_the_rows_that_they_are_judged_on(tmp_path: Path) -> None:
    done = treated("intercept", seed=1, folder=tmp_path)
    challenger = done.treatment.challenger
    assert challenger is not None
    assert done.decision is not None
    ends = [one.trained_on.until for one in challenger.chain]
    assert ends == sorted(set(ends))
    assert all(check.passed for check in done.decision.checks if check.name == "unseen rows")


@pytest.mark.slow
def test_the_remedy_that_is_released_is_fitted_on_all_rows(tmp_path: Path) -> None:
    done = treated("intercept", seed=0, folder=tmp_path)
    challenger = done.treatment.challenger
    assert challenger is not None

    fitted = fit_remedy(done.data, challenger, done.treatment.tried, challenger.path.replace("remedy", "all"))

    assert fitted.trained_on.until == done.data.split.whole.until
    assert fitted.remedied is not None
    assert fitted.remedied.correction is not None
    assert fitted.remedied.correction.shifts[0] == pytest.approx(1.5, abs=0.2)  # as the world was made
    assert fitted.candidate == "logistic_regression"
    assert len(read_model(fitted, done.data.workspace).steps) == 1
