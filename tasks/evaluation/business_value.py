"""The business value of each model per row of the hold-out, beyond doing nothing."""

from everfit.tasks.evaluation.measurement import Measurement
from everfit.tasks.gate.evidence import BusinessValueEvidence
from everfit.tasks.statistics.business_value import no_action, worth_of


def measure(measurement: Measurement) -> BusinessValueEvidence | None:
    """Measure what each model is worth at its own threshold, if the spec states a business value."""
    policy, scored, incumbent = measurement.spec.training.business_value, measurement.scored, measurement.incumbent
    if policy is None:
        return None
    nothing = no_action(policy, scored.truth)
    thresholds = {
        "challenger": measurement.challenger.threshold,
        "champion": incumbent.threshold if incumbent else None,
    }
    values: dict[str, float] = {}
    for role, threshold in thresholds.items():
        if role in scored.scores:
            worth = worth_of(policy, 0.5 if threshold is None else threshold)
            values[role] = float(worth(scored.truth, scored.scores[role]).mean()) - nothing
    return BusinessValueEvidence.model_validate({**values, "unit": policy.unit})
