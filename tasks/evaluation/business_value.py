"""The business value of each model per row of the hold-out, beyond doing nothing."""

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.spec import ModelSpec
from everfit.blocks.value import ValuePolicy
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.evaluation.measurement import Measurement
from everfit.tasks.evaluation.model_comparison import compare_rows
from everfit.tasks.evaluation.scored_rows import ScoredRows
from everfit.tasks.gate.evidence import BusinessValueEvidence
from everfit.tasks.statistics.business_value import WORTH, no_action, worth_of

Floats = npt.NDArray[np.float64]


def measure(measurement: Measurement) -> BusinessValueEvidence | None:
    """Measure what each model is worth at its own threshold, if the spec states a business value."""
    policy, scored, incumbent = measurement.spec.training.business_value, measurement.scored, measurement.incumbent
    if policy is None:
        return None
    nothing = no_action(policy, scored.truth)
    worths = {"challenger": _of_challenger(measurement, policy)}
    if incumbent is not None:
        worths["champion"] = _worths(policy, scored, "champion", incumbent.threshold)
    return BusinessValueEvidence.model_validate(
        {
            **{role: float(worth.mean()) - nothing for role, worth in worths.items()},
            "unit": policy.unit,
            "comparison": _compared(measurement.spec, scored, worths),
        }
    )


def _of_challenger(measurement: Measurement, policy: ValuePolicy) -> Floats:
    """Return what each row is worth by the threshold of the model that is judged on it; shape (rows,)."""
    scored, challenger = measurement.scored, measurement.challenger
    time = measurement.spec.columns.event_time
    if time is None or not challenger.earlier:
        return _worths(policy, scored, "challenger", challenger.threshold)
    worth = np.empty(len(scored.truth))
    for fitted, judged in zip(challenger.chain, challenger.judged(scored.rows[time]), strict=True):
        worth[judged] = _worths(policy, scored.subset(judged), "challenger", fitted.threshold)
    return worth


def _worths(policy: ValuePolicy, scored: ScoredRows, role: str, threshold: float | None) -> Floats:
    return worth_of(policy, 0.5 if threshold is None else threshold)(scored.truth, scored.scores[role])


def _compared(spec: ModelSpec, scored: ScoredRows, worths: dict[str, Floats]) -> PairedComparison | None:
    """Compare challenger and champion in worth, if they answer the same and act from another probability on."""
    if len(worths) < len(("challenger", "champion")):
        return None
    new, old = worths["challenger"], worths["champion"]
    if np.array_equal(new, old) or not np.array_equal(scored.scores["challenger"], scored.scores["champion"]):
        return None
    try:
        return compare_rows(spec, scored, WORTH, new, old)
    except NotEnoughError:
        return None
