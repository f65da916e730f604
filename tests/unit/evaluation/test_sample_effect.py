"""What half of a sample would cost is measured on the hold-out, and said in the model card and the turn's page."""

from pathlib import Path

import pytest
from support.training import a_spec, data_of, rows_of

from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation.sample_effect import sample_effect
from everfit.tasks.training.results import SampleEffect, how_fitted
from everfit.tasks.training.train import fit_on


def sampled(folder: Path, **training: object) -> TrainingData:
    return data_of(a_spec(training=training), rows_of(rows=3000), folder)


@pytest.mark.slow
def test_half_of_a_sample_is_fitted_and_compared_on_the_holdout(tmp_path: Path) -> None:
    data = sampled(tmp_path, sample=400)
    fitted = fit_on(data, "logistic_regression", data.split.training, str(tmp_path / "model.skops"))

    effect = sample_effect(data, fitted, str(tmp_path / "half.skops"))

    assert effect is not None
    assert (effect.rows, effect.of) == (fitted.rows, len(sampled(tmp_path / "all").training_rows(data.split.training)))
    assert effect.whole is not None
    assert effect.half is not None
    assert effect.gain == pytest.approx(effect.whole - effect.half)
    assert effect.half != effect.whole
    assert not (tmp_path / "half.skops").exists()
    assert how_fitted(fitted.model_copy(update={"sampled": effect})).startswith("on a sample of 40")


def test_nothing_is_measured_of_a_model_that_learned_from_all_rows(tmp_path: Path) -> None:
    data = sampled(tmp_path)
    fitted = fit_on(data, "logistic_regression", data.split.training, str(tmp_path / "model.skops"))
    assert sample_effect(data, fitted, "half.skops") is None
    assert how_fitted(fitted) == ""
    assert how_fitted(fitted.model_copy(update={"workers": 3})) == f"on all {fitted.rows:,} rows by 3 Dask workers"


def test_an_estimator_that_fails_on_half_of_the_rows_ends_no_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = sampled(tmp_path, sample=400)
    fitted = fit_on(data, "logistic_regression", data.split.training, str(tmp_path / "model.skops"))

    def fail(*_: object) -> None:
        raise ValueError("too few rows for my estimator")

    monkeypatch.setattr("everfit.tasks.evaluation.sample_effect.fit_model", fail)
    effect = sample_effect(data, fitted, "half.skops")

    assert effect is not None
    assert (effect.whole, effect.gain) == (None, None)
    assert "could not be measured: ValueError: too few rows for my estimator" in str(effect)


@pytest.mark.parametrize(
    ("gain", "told"), [(0.02, "a larger sample may be better"), (0.001, "a larger sample would hardly be better")]
)
def test_a_gain_beyond_its_error_says_that_a_larger_sample_may_be_better(gain: float, told: str) -> None:
    effect = SampleEffect(
        rows=500, of=9000, metric="roc_auc", whole=0.8, half=0.8 - gain, gain=gain, standard_error=0.005
    )
    assert str(effect).endswith(told)
    assert "500 of 9,000 rows" in str(effect)
    assert "could not be measured: too few" in str(SampleEffect(rows=5, of=9, metric="rmse", problem="too few"))
