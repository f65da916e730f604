"""The sum behind the gate's comparison with the champion. Pure."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.figures import Figure, in_digits
from everfit.tasks.core.paired_comparison import PairedComparison, WithinGroups
from everfit.tasks.gate.checks.comparison import DECAY, FIRST_SHARE, error_of_try, judge_decisive
from everfit.tasks.gate.earlier_releases import odds_in_words, release_odds
from everfit.tasks.gate.evidence import Evidence


def comparison_figures(evidence: Evidence, policy: GatePolicy) -> tuple[Figure, ...]:
    """Return the figures by which the gate found the challenger better or not; empty without a comparison.

    Args:
        evidence: The evidence.
        policy: The policy of the gate.
    """
    paired = evidence.decisive
    if paired is None or paired.method == "identical":
        return ()
    attempt, allowed = evidence.attempt, 1 - policy.confidence
    judged = judge_decisive(evidence, paired, policy)
    error = error_of_try(allowed, attempt, evidence.allowed_share)
    groups = "" if paired.groups is None else f", {paired.groups:,} groups by {paired.grouped_by}"
    gain, deviation, freedom = paired.difference, paired.deviation, paired.degrees_of_freedom
    figures = [
        Figure(
            name="gain",
            value=in_digits(paired.difference),
            origin=f"{paired.metric}: {in_digits(paired.challenger)} against {in_digits(paired.champion)}, "
            f"{paired.rows:,} rows{groups}",
        ),
        Figure(
            name="standard error",
            value=in_digits(paired.deviation),
            origin=paired.method + _earlier_groups(paired),
        ),
    ]
    within = paired.within
    if within is not None:
        origin = f"{paired.metric} among rows of the same time, {within.groups:,} groups by {within.grouped_by}"
        figures.append(Figure(name="gain within groups", value=in_digits(within.difference), origin=origin))
        figures.append(
            Figure(
                name="standard error within groups",
                value=in_digits(within.standard_error),
                origin=_earlier_groups(within).removeprefix("; "),
            )
        )
    if judged.within and within is not None:
        gain, deviation, freedom = within.difference, within.standard_error, within.degrees_of_freedom
    quantile = (gain - judged.lower) / deviation if deviation > 0 else 0.0
    which = "normal" if freedom is None else f"Student t with {in_digits(freedom)} degrees of freedom"
    share, odds = 1 - judged.confidence, release_odds(evidence.earlier_releases)
    return (
        *figures,
        Figure(name="try since the release", value=f"{attempt:,}"),
        *(
            [
                Figure(
                    name="odds that a release pays",
                    value=in_digits(odds),
                    origin=odds_in_words(evidence.earlier_releases),
                )
            ]
            if evidence.earlier_releases
            else []
        ),
        Figure(
            name="allowed error",
            value=in_digits(error),
            origin=f"{_share(evidence)}{FIRST_SHARE} / {attempt:,}^{DECAY} of {in_digits(allowed)}, "
            "which is 1 - gate.confidence",
        ),
        *(
            [Figure(name="its share", value=in_digits(share), origin="within groups 80 %, over all rows 20 %")]
            if within is not None
            else []
        ),
        Figure(name="quantile", value=in_digits(quantile), origin=f"{which}, at 1 - {in_digits(share)}"),
        Figure(
            name="lower bound of the gain",
            value=in_digits(judged.lower),
            origin=f"{in_digits(gain)} - {in_digits(quantile)} x {in_digits(deviation)}",
        ),
        Figure(
            name="must be above",
            value=in_digits(judged.bound),
            origin=_origin_of_bound(evidence, policy),
        ),
    )


def _earlier_groups(paired: PairedComparison | WithinGroups) -> str:
    """Return which earlier comparisons the error counts too, in words."""
    if not paired.earlier_groups:
        return ""
    unit = paired.grouped_by
    return f"; {paired.earlier_groups:,} {unit} of earlier champions tell how closely {unit} hang together"


def _origin_of_bound(evidence: Evidence, policy: GatePolicy) -> str:
    if evidence.decisive is not evidence.comparison:
        return "any gain in business value"
    return "gate.min_gain" if policy.margin is None else "minus gate.margin"


def _share(evidence: Evidence) -> str:
    share = "" if evidence.remedies is None else f"{in_digits(evidence.error_share)} x "
    odds = in_digits(release_odds(evidence.earlier_releases))
    return f"{share}{odds} x " if evidence.earlier_releases else share
