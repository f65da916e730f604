"""A rehearsal as text for Prefect and as one HTML page without network."""

from collections.abc import Iterator, Sequence
from html import escape

from everfit.tasks.core.outside_text import markdown_text
from everfit.tasks.rehearsal.comparison import Standing
from everfit.tasks.rehearsal.drawing import draw_costs, draw_matrix, draw_quality
from everfit.tasks.rehearsal.outcome import Rehearsal
from everfit.tasks.rehearsal.patches import changed_keys

VERDICTS = {
    "keep": "Keep the spec as it is",
    "change": "Change the spec",
    "perhaps": "Perhaps change the spec",
    "unknown": "History is too short to recommend anything",
}

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 1100px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: .875rem; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #ddd; }
th { white-space: normal; vertical-align: bottom; } .small { font-size: .875rem; color: #555; margin: .4rem 0; }
th:first-child, td:first-child { text-align: left; } tr.spec td { font-weight: 600; }
th:first-child, td:first-child { position: sticky; left: 0; background: #fff; } th { min-width: 3.5rem; }
.windows th { min-width: 6rem; } .policies td:first-child { white-space: normal; min-width: 10rem; }
.advice { background: #eef5ff; border-left: 4px solid #1f77b4; padding: .6rem 1rem; }
@media (max-width: 600px) { ul { padding-left: 1.2rem; } .policies td:first-child { min-width: 6rem; } }
.plotly-graph-div { max-width: 100%; overflow: hidden; } li { margin: .3rem 0; }
"""


def columns(outcome: Rehearsal) -> list[str]:
    """Return the heads of the table of policies."""
    unit = outcome.scale.unit
    names = ["policy", f"mean {outcome.scale.metric}", "± 95 %", "turns", "releases", "wrong", "needless", "missed"]
    return [*names, "late", "hindsight", "processor", *([] if unit is None else [f"value {unit}".strip()])]


def cells(standing: Standing, outcome: Rehearsal) -> list[str]:
    """Return a policy's line of the table."""
    quality = standing.quality
    line = [
        standing.policy,
        "-" if quality is None else outcome.scale.shown_metric(quality.mean),
        "-" if quality is None or quality.high is None else outcome.scale.shown_metric(quality.high - quality.mean),
        str(standing.turns),
        str(standing.releases),
        str(standing.wrong),
        str(standing.needless),
        "-" if standing.kind == "bound" else str(standing.missed),
        "-" if standing.kind == "bound" else str(standing.late),
        "-" if standing.share is None else "< 0%" if standing.share < 0 else f"{standing.share:.0%}",
        "-" if standing.seconds is None else f"{standing.seconds:,.0f} s",
    ]
    if outcome.scale.unit is not None:
        line.append("-" if standing.money is None else f"{standing.money:,.2f}")
    return line


def windows_table(outcome: Rehearsal) -> tuple[list[str], list[list[str]]]:
    """Return the heads and the lines of the table of windows, without the remarks if there are none."""
    heads, rows = window_columns(outcome), list(window_rows(outcome))
    return (heads, rows) if any(row[-1] for row in rows) else (heads[:-1], [row[:-1] for row in rows])


def window_columns(outcome: Rehearsal) -> list[str]:
    """Return the heads of the table of windows."""
    return ["window from", "rows", *(play.policy for play in outcome.plays), "remark"]


def window_rows(outcome: Rehearsal) -> Iterator[list[str]]:
    """Yield a line for each window: the quality by each policy, `*` where a model was released before it."""
    for place, window in enumerate(outcome.windows):
        values = []
        for play in outcome.plays:
            value = play.quality[place]
            sign = "*" if place in play.releases else "°" if place in play.turns else ""
            values.append("-" if value is None else f"{outcome.scale.shown_metric(value)}{sign}")
        yield [f"{window.since:%Y-%m-%d}", f"{window.rows:,}", *values, window.note]


def advice(outcome: Rehearsal) -> list[str]:
    """Return the recommendation in sentences, its headline first."""
    found = outcome.recommendation
    keys = (
        [f"Keys to change: {'; '.join(changed_keys(found.patch))}."] if found.patch and found.verdict != "keep" else []
    )
    return [f"{VERDICTS[found.verdict]}.", *found.reasons, *keys]


LEGEND = (
    (
        "turns: trainings after the first model. wrong: releases that did no better than the model before, until the "
        "next one. needless: turns that released nothing better."
    ),
    (
        "missed: times at which the best plan in hindsight took another model, and no model of the policy won half of "
        "what that is worth. late: windows in which the policy won less, until a model of it won half."
    ),
    (
        "hindsight: the share of what the best plan in hindsight wins over never retraining; below 0% is worse than "
        "that. It knows all windows and may use each model that any policy has fitted, so nothing exceeds it."
    ),
    "processor: of the spec and its patches all flows, of the others the bare fits. These release without a gate.",
)


_DEEDS = frozenset({"turns", "releases", "wrong", "needless", "missed", "late"})
"""Heads of the columns that count what a policy did."""

CIRCLES = "A full circle: a model was released before this window. An open one: a turn released none."

SINCE_THEN = (
    "The gain of the real loop by month: its answers against those of the first model left alone and of the champion "
    "before, on the same labelled rows."
)


def rehearsal_text(outcome: Rehearsal, link: str = "") -> str:
    """Return the rehearsal as Markdown.

    Args:
        outcome: The outcome of the rehearsal.
        link: To the page, in Markdown; empty without one.
    """
    head = f"# Rehearsal of {markdown_text(outcome.model)}"
    first = f"First model {outcome.trained_at:%Y-%m-%d}, {len(outcome.windows)} windows of {outcome.every}. {link}"
    lines = [head, "", first, "", f"**{advice(outcome)[0]}** {' '.join(advice(outcome)[1:])}", ""]
    if outcome.standings:
        names, rows = columns(outcome), [cells(standing, outcome) for standing in outcome.standings]
        brought = [place for place, head in enumerate(names) if head not in _DEEDS]
        deeds = [place for place, head in enumerate(names) if place == 0 or head in _DEEDS]
        for places in (brought, deeds):  # a wider table runs into the column beside it on Prefect's pages
            part = [[row[place] for place in places] for row in rows]
            lines += [*_markdown_table([names[place] for place in places], part), ""]
        lines += [*(f"- {sentence}" for sentence in outcome.pairs), ""]
        policies = [play.policy for play in outcome.plays]
        numbers = [str(number) for number in range(1, len(policies) + 1)]
        by_number = "; ".join(f"{number} {markdown_text(name)}" for number, name in zip(numbers, policies, strict=True))
        lines += [f"{outcome.scale.metric} by policy: {by_number}.", ""]
        names, rows = windows_table(outcome)
        lines += _markdown_table([*names[:2], *numbers, *names[2 + len(numbers) :]], rows)
        lines += ["", "`*` a model was released before this window; `°` a turn released none."]
    if outcome.since_then:
        heads, *months = outcome.since_then
        lines += ["", "## Since then", "", SINCE_THEN, "", *_markdown_table(heads, months)]
    lines += ["", *(f"- {markdown_text(note)}" for note in outcome.notes)]
    return "\n".join(lines)


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return [f"| {' | '.join(markdown_text(cell) for cell in line)} |" for line in lines]


def rehearsal_page(outcome: Rehearsal) -> str:
    """Return the rehearsal as one HTML page that needs no network.

    Args:
        outcome: The outcome of the rehearsal.
    """
    title = f"Rehearsal of {outcome.model}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>First model {outcome.trained_at:%Y-%m-%d}, {len(outcome.windows)} windows of {escape(outcome.every)}.</p>",
        f'<p class="advice"><b>{escape(advice(outcome)[0])}</b> {escape(" ".join(advice(outcome)[1:]))}</p>',
    ]
    if outcome.standings:
        spec = next(place for place, standing in enumerate(outcome.standings) if standing.kind == "spec")
        parts += [
            _table(columns(outcome), [cells(standing, outcome) for standing in outcome.standings], spec, "policies"),
            *(f'<p class="small">{escape(sentence)}</p>' for sentence in LEGEND),
            _list(outcome.pairs),
            "<h2>Quality over time</h2>",
            f'<p class="small">{CIRCLES}</p>',
            draw_quality(outcome, library=True),
            "<h2>Cost against quality</h2>",
            draw_costs(outcome),
            "<h2>How a model of each age does in each later window</h2>",
            draw_matrix(outcome),
            "<h2>Window by window</h2>",
            _table(*windows_table(outcome), kind="windows"),
            '<p class="small">* a model was released before this window; ° a turn released none.</p>',
        ]
    if outcome.since_then:
        heads, *months = outcome.since_then
        parts += [f"<h2>Since then</h2><p>{escape(SINCE_THEN)}</p>", _table(heads, months)]
    if outcome.notes:
        parts += ["<h2>What history can't show, or differs from the real loop</h2>", _list(outcome.notes)]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], marked: int | None = None, kind: str = "") -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    lines = []
    for place, row in enumerate(rows):
        shown = ' class="spec"' if place == marked else ""
        lines.append(f"<tr{shown}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>")
    body = "".join(lines)
    return f'<div class="table {kind}"><table><tr>{head}</tr>{body}</table></div>'


def _list(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"
