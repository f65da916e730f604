"""A diagnosis as one page that needs no network."""

from collections.abc import Sequence
from html import escape

from everfit.tasks.core.loss_diagnosis import LOSS_TEXTS, PART_TEXTS, Diagnosis

DIAGNOSIS_FILE = "diagnosis.html"

_WIDTH, _ROW, _MOST_LETTERS = 500, 48, 64
"""The width of a picture that a telephone can show, the height of a bar with its name, and the letters of a name."""
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.25em 1em .25em 0;border-bottom:1px solid #ddd}"
    "td.n,th.n{text-align:right}svg{max-width:600px}svg text{font:14px system-ui,sans-serif}.wide{overflow-x:auto}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def diagnosis_page(model: str, window: str, diagnosis: Diagnosis) -> str:
    """Return a diagnosis as a page with pictures, which loads nothing and sends nothing anywhere.

    Args:
        model: The model's name.
        window: The window, in words.
        diagnosis: The diagnosis.
    """
    title = escape(f"{model}: why quality was lost")
    text = f"{diagnosis.summary[0].upper()}{diagnosis.summary[1:]}."
    advice = f" {diagnosis.advice[0].upper()}{diagnosis.advice[1:]}." if diagnosis.advice else ""
    rows = f"{diagnosis.window_rows:,} labelled rows of {window}"
    rows += f", compared with {diagnosis.reference_rows:,} of the hold-out"
    sections = [
        f"<h1>{title}</h1><p>{escape(text + advice)}</p><p>{escape(rows)}.</p>",
        f"<h2>Parts of the loss ({escape(LOSS_TEXTS[diagnosis.row_loss])}, with 95 % intervals)</h2>",
        _bars([(PART_TEXTS[part.name], part.change, part.low, part.high) for part in diagnosis.split.parts]),
    ]
    if diagnosis.slices:
        sections += ["<h2>Worst slices</h2>", _slices(diagnosis)]
    if diagnosis.columns:
        shares = [(column.name, column.share, None, None) for column in diagnosis.columns]
        sections += ["<h2>Columns by their share of the loss</h2>", _bars(shares, ".0%")]
    for head, lines in (
        ("Values that the hold-out lacks", diagnosis.values),
        ("How to win it back", diagnosis.remedies),
        ("Columns that were left out", diagnosis.left_out),
    ):
        if lines:
            sections.append(f"<h2>{head}</h2><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>")
    head = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        f'content="{_POLICY}"><title>{title}</title><style>{_STYLE}</style>'
    )
    return "\n".join([head, *sections, "</html>"])


def _slices(diagnosis: Diagnosis) -> str:
    head = "<tr><th>rows<th class=n>number<th class=n>loss<th class=n>elsewhere<th class=n>in the hold-out"
    head += "<th class=n>share of the loss</tr>"
    lines = [
        f"<tr><td>{escape(found.name)}<td class=n>{found.rows:,}<td class=n>{found.loss:.3g}"
        f"<td class=n>{found.elsewhere:.3g}<td class=n>{'none' if found.before is None else f'{found.before:.3g}'}"
        f"<td class=n>{'' if found.share_of_loss is None else f'{max(0.0, min(found.share_of_loss, 1.0)):.0%}'}</tr>"
        for found in diagnosis.slices
    ]
    return f"<div class=wide><table>{head}{''.join(lines)}</table></div>"


def _bars(bars: Sequence[tuple[str, float, float | None, float | None]], form: str = ".3g") -> str:
    """Return bars around zero, each under its name and with its interval, as one SVG.

    Args:
        bars: Name, value, and the ends of the interval.
        form: How to write a value.
    """
    ends = [0.0, *(end for _, *values in bars for end in values if end is not None)]
    low, high = min(ends), max(ends)
    scale = (_WIDTH - 90) / ((high - low) or 1.0)

    def place(value: float) -> float:
        return 2 + (value - low) * scale

    parts = []
    for number, (name, value, lower, upper) in enumerate(bars):
        y = number * _ROW + 22
        left, right = sorted((place(0), place(value)))
        label = name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"
        colour = "#c0504d" if value > 0 else "#4f81bd"
        parts.append(f'<text x="2" y="{y - 6}">{escape(label)}</text>')
        parts.append(f'<rect x="{left:.1f}" y="{y}" width="{max(right - left, 1):.1f}" height="18" fill="{colour}"/>')
        edge = right
        if lower is not None and upper is not None:
            ends_at = f'x1="{place(lower):.1f}" x2="{place(upper):.1f}"'
            parts.append(f'<line {ends_at} y1="{y + 9}" y2="{y + 9}" stroke="#222" stroke-width="2"/>')
            edge = max(right, place(upper))
        parts.append(f'<text x="{edge + 8:.1f}" y="{y + 14}">{value:{form}}</text>')
    zero = f'<line x1="{place(0):.1f}" x2="{place(0):.1f}" y1="0" y2="{len(bars) * _ROW}" stroke="#999"/>'
    return f'<svg viewBox="0 0 {_WIDTH} {len(bars) * _ROW}" role="img" width="100%">{zero}{"".join(parts)}</svg>'
