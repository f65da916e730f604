"""Test at any number of looks: the error holds over all looks together.

A fixed-sample test that is repeated until it rejects does so in the end, whether the hypothesis is true or not. These
tests stay valid however often and whenever they are evaluated, and whatever is decided by them (R. Johari, P. Koomen,
L. Pekelis and D. Walsh, "Always Valid Inference: Continuous Monitoring of A/B Tests", Operations Research 70 (2022)).
"""

import math

from everfit.blocks.errors import DataError


def confidence_sequence(
    estimate: float, standard_error: float, rows: int, *, alpha: float, tightest_at: int
) -> tuple[float, float]:
    """Return bounds that hold at all looks together with probability `1 - alpha`, in large samples.

    The asymptotic confidence sequence of I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy and A. Ramdas,
    "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 52 (2024), theorem
    2.2: the mixture of H. Robbins (1970), for any estimator that behaves like a mean, as differences of metrics do.

    Args:
        estimate: Current difference.
        standard_error: Its current standard error.
        rows: Number of rows behind it.
        alpha: Probability that the true value is ever outside.
        tightest_at: Number of rows at which the bounds are narrowest.

    Raises:
        DataError: If there are no rows, or the error is not a number.

    Example:
        >>> low, high = confidence_sequence(0.1, 0.01, 1000, alpha=0.05, tightest_at=1000)
        >>> round(low, 3), round(high, 3)
        (0.07, 0.13)
    """
    if rows < 1 or not math.isfinite(standard_error) or standard_error < 0 or not math.isfinite(estimate):
        raise DataError(f"no bounds for {estimate!r} with the error {standard_error!r} from {rows!r} rows")
    log_alpha = -2 * math.log(alpha)
    scaled = rows * (log_alpha + math.log(log_alpha + 1)) / max(1, tightest_at)  # n·ρ² of the paper
    radius = standard_error * math.sqrt(2 * (scaled + 1) / scaled * math.log(math.sqrt(scaled + 1) / alpha))
    return estimate - radius, estimate + radius


def log_evidence_of_more(hits: int, rows: int, bound: float) -> float:
    """Return the logarithm of an e-value for a rate above a bound.

    The chance that it ever exceeds `-log(alpha)` while the rate is at most the bound is at most `alpha` (Ville's
    inequality): it is the likelihood ratio against the bound, mixed over all higher rates by a beta distribution
    (H. Robbins, "Statistical methods related to the law of the iterated logarithm", Annals of Mathematical Statistics
    41 (1970)). It needs no minimum number of rows.

    Args:
        hits: Rows that count towards the rate.
        rows: All rows.
        bound: The allowed rate, in (0, 1).

    Raises:
        DataError: If there are more hits than rows, or the bound is not a rate.

    Example:
        >>> log_evidence_of_more(0, 1000, 0.01) < 0 < log_evidence_of_more(5, 5, 0.01)
        True
    """
    if not 0 <= hits <= rows or not 0 < bound < 1:
        raise DataError(f"{hits!r} hits in {rows!r} rows against the rate {bound!r} are impossible; check the counts")
    if rows == 0:
        return 0.0
    from scipy.special import betaln
    from scipy.stats import beta

    half = 0.5  # Jeffreys' prior over the rates above the bound
    after = betaln(hits + half, rows - hits + half) + beta.logsf(bound, hits + half, rows - hits + half)
    before = betaln(half, half) + beta.logsf(bound, half, half)
    return float(after - before - hits * math.log(bound) - (rows - hits) * math.log1p(-bound))
