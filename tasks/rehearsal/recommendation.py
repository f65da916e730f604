"""Recommend a policy: chosen on the earlier half of history, confirmed on the later. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from everfit.tasks.core.gains import gain_in_words, range_in_words
from everfit.tasks.core.records import Record
from everfit.tasks.rehearsal.comparison import Play, Scale, Standing
from everfit.tasks.rehearsal.intervals import LEAST_WINDOWS, MeanInterval, mean_interval, paired_interval

NEVER: Mapping[str, Any] = {"retraining": {"on": "nothing", "cadence": "never"}}
"""The patch of a spec by which no turn starts by itself."""


class Recommendation(Record):
    """A change of the spec, and how sure it is.

    `keep` the spec; `change` it by a patch that the later half confirms; `perhaps`, where it does not; `unknown`, where
    history is too short.
    """

    verdict: Literal["keep", "change", "perhaps", "unknown"]
    policy: str = Field(default="", description="The policy that did best on the earlier half.")
    reasons: tuple[str, ...] = Field(description="Sentences for people.")
    patch: dict[str, Any] = Field(default_factory=dict, description="Keys of the spec to change; empty to change none.")
    later: MeanInterval | None = Field(default=None, description="Gain over the spec by window on the later half.")
    confirmed: str = Field(default="", description="The sentence on the later half.")


def recommend(
    plays: Sequence[Play], scale: Scale, patches: Mapping[str, Mapping[str, Any]], every: str
) -> Recommendation:
    """Return what to change in the spec.

    Args:
        plays: The spec as it is, patches of it, and simple rules.
        scale: How windows are weighed.
        patches: By the name of a policy, the keys of the spec that make the spec that policy.
        every: Length of a window, for sentences.
    """
    spec = next((play for play in plays if play.kind == "spec"), None)
    if spec is None:
        return Recommendation(verdict="unknown", reasons=("The spec released no model, so nothing can be compared.",))
    paid = {play.policy: scale.payoff(play) for play in plays if play.kind == "spec" or play.policy in patches}
    measured = [place for place, value in enumerate(paid[spec.policy]) if value is not None]
    if len(measured) < 2 * LEAST_WINDOWS:
        reason = (
            f"History has {len(measured)} windows with labels; {2 * LEAST_WINDOWS} are needed to choose on the earlier "
            f"half and confirm on the later."
        )
        return Recommendation(verdict="unknown", reasons=(reason,))
    middle = measured[len(measured) // 2]
    early = {name: mean_interval(payoff[:middle]) for name, payoff in paid.items()}
    ranked = sorted(
        (name for name, found in early.items() if found is not None),
        key=lambda name: (-_mean(early[name]), name != spec.policy),  # of equals the spec as it is
    )
    best = ranked[0]
    rules = tuple(_rules(plays, paid[spec.policy], scale, set(paid), every))
    if best == spec.policy:
        reason = f"On the earlier {middle} windows no change of the spec did better than the spec as it is."
        return Recommendation(verdict="keep", policy=best, reasons=(reason, *rules))
    later = paired_interval(paid[best][middle:], paid[spec.policy][middle:])
    chosen = f"On the earlier {middle} windows, {best!r} did best."
    if later is None or later.mean <= 0:
        gain = "could not be compared with" if later is None else f"did {_gain(later.mean, scale)} a window than"
        reason = f"On the later windows it {gain} the spec as it is, so the gain was luck."
        return Recommendation(verdict="keep", policy=best, reasons=(chosen, reason, *rules), later=later)
    found = f"On the later {later.windows} windows it did {_gain(later.mean, scale)} a window{_range(later, scale)}."
    sure = later.excludes_zero
    doubt = () if sure else ("History can't tell it from the spec as it is, so nothing is certain.",)
    return Recommendation(
        verdict="change" if sure else "perhaps",
        policy=best,
        reasons=(chosen, found, *doubt, *rules),
        patch=dict(patches[best]),
        later=later,
        confirmed=found,
    )


def _rules(
    plays: Sequence[Play], spec: Sequence[float | None], scale: Scale, compared: set[str], every: str
) -> Iterator[str]:
    """Yield a sentence if a rule that no keys of a spec make does better than the spec for certain."""
    for play in plays:
        gain = paired_interval(scale.payoff(play), spec)
        if play.kind != "simple" or play.policy in compared or gain is None:
            continue
        if gain.excludes_zero and gain.mean > 0:
            yield (
                f"{play.policy!r} does better for certain, and releases without a gate. To know what the gate makes of "
                f"it, rehearse a policy with retraining.schedule, such as {every}."
            )
            return


def verdicts_of_pairs(found: Sequence[Standing], scale: Scale) -> tuple[str, ...]:
    """Return a sentence on each policy against the spec as it is.

    Args:
        found: All policies.
        scale: How windows are weighed.
    """
    sentences = []
    for standing in found:
        gain = standing.against_spec
        if gain is None or standing.kind == "bound":
            continue
        if gain.mean == 0 and not gain.low and not gain.high:  # few windows have no interval
            sentences.append(f"{standing.policy}: the same as the spec as it is.")
            continue
        if gain.low is None:
            words = f"{gain.windows} windows are too few to say how certain that is"
        elif gain.excludes_zero:
            words = "that is certain"
        else:
            words = "history can't tell the two apart"
        sentences.append(
            f"{standing.policy}: {_gain(gain.mean, scale)} a window than the spec as it is"
            f"{_range(gain, scale)}; {words}."
        )
    return tuple(sentences)


def _mean(found: MeanInterval | None) -> float:
    assert found is not None  # noqa: S101 - those without a mean were left out
    return found.mean


def _gain(gain: float, scale: Scale) -> str:
    return gain_in_words(gain, scale.metric if scale.unit is None else scale.unit, scale.shown)


def _range(found: MeanInterval, scale: Scale) -> str:
    if found.low is None or found.high is None:
        return ""
    return f" (95 %: {range_in_words(found.low, found.high, scale.shown)})"
