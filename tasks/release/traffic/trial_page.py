"""A traffic trial as a page in Markdown, for the artifact of its flow's run. Pure."""

from typing import Any

from everfit.tasks.core.outside_text import markdown_text

_SLICES_SHOWN = 20


def trial_page(trial: dict[str, Any]) -> str:
    """Return a trial as a page in Markdown.

    Args:
        trial: The trial as `trial_json` returns it.
    """
    lines = [
        f"# Trial of version {trial['challenger']} of {trial['model']}",
        "",
        f"{trial['state']}: against version {trial['champion']}, {trial['strategy']}, since {trial['since'][:16]}.",
        "",
        *(f"- {markdown_text(reason)}" for reason in trial["reasons"]),
    ]
    for step in (trial["evidence"] or {}).get("steps", []):
        slices = step.get("divergence", [])
        if slices:
            lines += [
                "",
                "## Where the answers differ",
                "",
                "| slice | rows | differ | elsewhere | |",
                "| --- " * 5 + "|",
            ]
        lines += [
            f"| {markdown_text(one['name'])} | {one['rows']:,} | {one['divergence']:.1%} | {one['elsewhere']:.1%} | "
            f"{'beyond chance' if one['certain'] else ''} |"
            for one in slices[:_SLICES_SHOWN]
        ]
    return "\n".join(lines) + "\n"
