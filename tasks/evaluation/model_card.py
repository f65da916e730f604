"""The model card: what a version is, what it was made of, how good it is, where not, and what was decided."""

from collections.abc import Iterator

from everfit.tasks.core.outside_text import markdown_text
from everfit.tasks.evaluation.report import Report
from everfit.tasks.gate import GateDecision

_SHOWN = 10


def model_card(report: Report, decision: GateDecision, turn_id: str) -> str:
    """Write the card of a version.

    M. Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.

    Args:
        report: The report of the version.
        decision: The decision of the gate.
        turn_id: The id of the turn that made the version.

    Returns:
        Markdown.
    """
    lines = [f"# {report.model}", "", markdown_text(decision.reasons[0]), ""]
    lines += ["## What it is", "", f"- task: {report.task}", f"- candidate: {report.candidate}", f"- turn: `{turn_id}`"]
    lines += [f"- trained on: {report.training} ({report.training_rows:,} rows); judged on: {report.holdout}"]
    lines += [f"- fitted {markdown_text(report.fitted)}"] if report.fitted else []
    lines += ["", f"## How good, on {report.rows:,} hold-out rows", "", "| metric | value | 95 % interval |"]
    lines += ["| --- | --- | --- |"]
    lines += [
        f"| {interval.metric} | {interval.value:.4f} | {interval.lower:.4f} to {interval.upper:.4f} |"
        for interval in report.metrics
    ]
    lines += ["", report.fit, ""]
    if report.over_time:
        lines += [f"Over time, {report.metric}: " + ", ".join(_part(part.value) for part in report.over_time)]
    if report.calibration is not None and report.calibration.challenger is not None:
        lines += ["", f"Expected calibration error: {report.calibration.challenger:.4f}"]
    lines += ["", "## Why it answers as it does", "", f"| feature | {_importance(report)} |", "| --- | --- |"]
    lines += [f"| {markdown_text(name)} | {value:.4g} |" for name, value in list(report.attribution.items())[:_SHOWN]]
    for column, words in report.words.items():
        named = ", ".join(f"{word} ({value:+.3f})" for word, value in words.items())
        lines += ["", markdown_text(f"Words of {column} that change the score most: {named or 'none'}")]
    if report.groups:
        lines += ["", "## For whom", "", "| group | rows | error | positive answers |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {markdown_text(f'{one.column} = {one.group}')} | {one.rows:,} | "
            f"{_part(one.error)} | {_part(one.selection_rate)} |"
            for one in report.groups
        ]
        lines += ["", *_between_groups(report)] if report.fairness else []
    lines += ["", "## Limits", "", *_limits(report)]
    lines += ["", "## Decision", "", *(f"- {markdown_text(reason)}" for reason in decision.reasons)]
    return "\n".join(lines) + "\n"


def with_outcome(card: str, headline: str) -> str:
    """Return a card with what was decided later, at its top and as the last line of its decision; safe to repeat.

    Args:
        card: The card of a version.
        headline: The decision in one sentence.
    """
    title, _, rest = card.partition("\n\n")
    _, found, below = rest.partition("\n\n## ")
    line = f"- {headline}\n"
    if not found or line in card:
        return card
    return f"{title}\n\n{headline}\n\n## {below}{line}"


def _limits(report: Report) -> list[str]:
    limits = [f"- It knows nothing of what happened after {report.training.until:%Y-%m-%d}, before a refit."]
    if not report.over_time:
        limits = ["- The rows have no event time, so nothing shows how its quality changes over time."]
    limits += [f"- {markdown_text(change)}." for change in report.classes]
    if report.robustness is not None:
        robustness = report.robustness.evidence()
        if robustness.flip_share is not None:
            limits.append(f"- {robustness.flip_share:.1%} of its answers change with {robustness.perturbation}.")
        limits.append(
            f"- One plausible value of one feature changes {report.robustness.adversarial:.1%} of its answers."
        )
    if report.features_left_out:
        limits.append(
            f"- {report.features_left_out:,} features that move its answers least have no importance, and were not "
            f"changed to test it."
        )
    return limits + [
        f"- Not measured: {name}, because {markdown_text(reason)}" for name, reason in report.left_out.items()
    ]


def _importance(report: Report) -> str:
    """Return the meaning of the attribution's numbers."""
    if report.shap is None:
        return f"loss of {report.metric} when it is shuffled"
    return f"mean size of its SHAP value ({report.shap.rows} rows)"


def _between_groups(report: Report) -> Iterator[str]:
    for fairness in report.fairness:
        parity, odds = fairness.demographic_parity_difference, fairness.equalized_odds_difference
        if parity is None and odds is None:
            yield f"- {markdown_text(fairness.column)}: fewer than two groups have rows enough to compare"
            continue
        yield (
            f"- {markdown_text(fairness.column)}: between its groups positive answers differ by up to {_part(parity)} "
            f"(demographic parity difference), rates of true or false positives by up to {_part(odds)} (equalized odds)"
        )


def _part(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
