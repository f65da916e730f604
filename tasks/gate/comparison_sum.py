"""The sum behind the gate's comparison with the champion. Pure."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.figures import Figure, in_digits
from everfit.tasks.gate.checks.comparison import error_of_try
from everfit.tasks.gate.evidence import Evidence


def comparison_figures(evidence: Evidence, policy: GatePolicy) -> tuple[Figure, ...]:
    """Return the figures by which the gate found the challenger better or not; empty without a comparison.

    Args:
        evidence: The evidence.
        policy: The policy of the gate.
    """
    paired = evidence.comparison
    if paired is None or paired.method == "identical":
        return ()
    attempt, allowed = evidence.attempt, 1 - policy.confidence
    error = error_of_try(allowed, attempt)
    reach, bound = paired.reach(1 - error), policy.min_gain if policy.margin is None else -policy.margin
    groups = "" if paired.groups is None else f", {paired.groups:,} groups by {paired.grouped_by}"
    freedom = paired.degrees_of_freedom
    quantile = reach / paired.deviation if paired.deviation > 0 else 0.0
    which = "normal" if freedom is None else f"Student t with {in_digits(freedom)} degrees of freedom"
    return (
        Figure(
            name="gain",
            value=in_digits(paired.difference),
            origin=f"{paired.metric}: {in_digits(paired.challenger)} against {in_digits(paired.champion)}, "
            f"{paired.rows:,} rows{groups}",
        ),
        Figure(name="standard error", value=in_digits(paired.deviation), origin=paired.method),
        Figure(name="try since the release", value=f"{attempt:,}"),
        Figure(
            name="allowed error",
            value=in_digits(error),
            origin=f"6 / (pi x {attempt:,})^2 of {in_digits(allowed)}, which is 1 - gate.confidence",
        ),
        Figure(name="quantile", value=in_digits(quantile), origin=f"{which}, at 1 - {in_digits(error)}"),
        Figure(
            name="lower bound of the gain",
            value=in_digits(paired.difference - reach),
            origin=f"{in_digits(paired.difference)} - {in_digits(quantile)} x {in_digits(paired.deviation)}",
        ),
        Figure(
            name="must be above",
            value=in_digits(bound),
            origin="gate.min_gain" if policy.margin is None else "minus gate.margin",
        ),
    )
