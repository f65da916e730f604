"""Measure what it costs to learn from a sample: the quality of a model that is fitted on half of the sample."""

from dataclasses import replace

from everfit.blocks.errors import EverfitError
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation.model_comparison import compare_models
from everfit.tasks.evaluation.scored_rows import score_rows
from everfit.tasks.evaluation.slices import slice_columns
from everfit.tasks.training.results import Choice, Fitted, SampleEffect, read_model
from everfit.tasks.training.train import fit_model


def sample_effect(data: TrainingData, challenger: Fitted, scratch: str) -> SampleEffect | None:
    """Fit the oldest of the challenger's models again on half of the sample, and compare both on the hold-out.

    Args:
        data: The turn's rows.
        challenger: The newest of its models, with the earlier ones.
        scratch: Path of a file that is gone afterwards.

    Returns:
        Both values of the primary metric; None if the challenger has learned from all rows.
    """
    sample, first = data.thinning, challenger.chain[0]
    if sample is None or first.workers or first.remedied is not None:
        return None
    spec = data.spec
    halved = spec.model_copy(update={"training": spec.training.model_copy(update={"sample": max(1, sample.rows // 2)})})
    try:
        choice = Choice(candidate=first.candidate, setting=first.setting)
        fewer = fit_model(replace(data, spec=halved), choice, first.trained_on, scratch)
        rows = data.rows(data.split.holdout, "compare samples on", [*slice_columns(spec), *spec.columns.key])
        models = {"challenger": read_model(first, data.workspace), "half": fewer.pipeline}
        compared = compare_models(spec, score_rows(spec, rows, models), "half")
    except Exception as error:  # noqa: BLE001 - an estimator may raise anything, and the turn needs no such measurement
        problem = str(error) if isinstance(error, EverfitError) else f"{type(error).__name__}: {error}"
        return SampleEffect(rows=sample.rows, of=sample.of, metric=spec.metric, problem=problem)
    return SampleEffect(
        rows=sample.rows,
        of=sample.of,
        metric=spec.metric,
        whole=compared.challenger,
        half=compared.champion,
        gain=compared.difference,
        standard_error=compared.deviation,
    )
