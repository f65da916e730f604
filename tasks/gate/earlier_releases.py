"""How often earlier releases of a model have paid, and what error the next one may therefore make. Pure.

The gate allows an error as if a challenger were as likely no better as better. Where earlier releases of the model have
paid, on live rows that no decision had seen, the next one is likelier to pay. By the rule of succession, the odds are
1 plus the releases that paid, against 1 plus those that did not: P. S. Laplace, "Essai philosophique sur les
probabilités" (1814). The allowed error grows with these odds: after n releases that have all paid, the next life may
err with n + 1 times the error, as in D. Foster and R. Stine, "Alpha-investing: a procedure for sequential control of
expected false discoveries", Journal of the Royal Statistical Society B 70 (2008). A release that does not pay takes
most of it back.
"""

from collections.abc import Sequence

from pydantic import Field, FiniteFloat

from everfit.tasks.core.figures import in_digits
from everfit.tasks.core.records import Record

NEWEST = 2
"""The number of earlier releases that count, the newest ones: what paid long ago tells little about now, and a world
may become quiet. In simulations more of them find a gain hardly sooner, and err more often after that."""


class EarlierRelease(Record):
    """The champion of an earlier release against the one before it, on the first live rows of both."""

    version: int
    gain: FiniteFloat = Field(description="Positive when the release has paid, in the unit of the primary metric.")
    chance: FiniteFloat = Field(ge=0, le=1, description="The probability that it has not paid.")


def release_odds(releases: Sequence[EarlierRelease]) -> float:
    """Return the odds that the next release pays, by the earlier ones.

    Args:
        releases: The earlier releases that were judged, oldest first.

    Example:
        >>> sure = EarlierRelease(version=2, gain=0.01, chance=0.0)
        >>> unsure = EarlierRelease(version=3, gain=0.0, chance=0.5)
        >>> release_odds([]), release_odds([sure, sure]), release_odds([unsure])
        (1.0, 3.0, 1.0)
    """
    newest = [release.chance for release in releases[-NEWEST:]]
    in_vain = sum(newest)
    return (1 + len(newest) - in_vain) / (1 + in_vain)


def odds_in_words(releases: Sequence[EarlierRelease]) -> str:
    """Return the sum behind the odds, for readers.

    Args:
        releases: The earlier releases that were judged, oldest first.

    Example:
        >>> odds_in_words([EarlierRelease(version=2, gain=0.01, chance=0.25)])
        '(1 + 0.75) / (1 + 0.25), by live rows since the release of version 2'
    """
    newest = releases[-NEWEST:]
    in_vain = sum(release.chance for release in newest)
    versions = " and ".join(str(release.version) for release in newest)
    which = f"the release of version {versions}" if len(newest) == 1 else f"the releases of versions {versions}"
    return f"(1 + {in_digits(len(newest) - in_vain)}) / (1 + {in_digits(in_vain)}), by live rows since {which}"


def newest_in_words(releases: Sequence[EarlierRelease]) -> str:
    """Return which of the earlier releases count, for readers.

    Example:
        >>> newest_in_words([EarlierRelease(version=2, gain=0.01, chance=0.25)])
        'the last release'
    """
    count = len(releases[-NEWEST:])
    return "the last release" if count == 1 else f"the last {count} releases"
