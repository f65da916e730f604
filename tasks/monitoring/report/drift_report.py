"""The drift report that people look at: Evidently's HTML, drawn from a bounded sample of either side.

`everfit.tasks.monitoring.signals.drift` decides, over all rows. The report shows that verdict at its top when it is
given; the numbers beside the plots are Evidently's own, of the sample, by the same methods and thresholds.
"""

import html
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import EverfitError
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.core.outside_text import page_text
from everfit.tasks.core.page_policy import SELF_CONTAINED, with_policy
from everfit.tasks.core.records import Record
from everfit.tasks.monitoring.report.text_descriptors import described, import_evidently
from everfit.tasks.monitoring.signals.drift import DriftResult
from everfit.tasks.statistics.columns import codes_of, kind_of, numbers_of
from everfit.tasks.statistics.profile import reference_sample

LARGEST = 5_000_000
"""Bytes of the HTML; Evidently's own scripts are 3.7 million of them, a column is about 36,000."""

MOST_COLUMNS = 36
"""Columns drawn at first; fewer are drawn when the HTML would be too large."""

CATEGORIES = 30
"""Categories drawn by name; the rest are drawn as one."""


class DriftReportError(EverfitError):
    """The report can't be drawn. Says nothing about drift."""


class DriftReport(Record):
    """A report and its columns."""

    file: str
    size: int = Field(description="Bytes.")
    columns: tuple[str, ...]
    left_out: dict[str, str] = Field(default_factory=dict, description="Columns that aren't drawn, and why.")
    reference_rows: int = Field(description="Rows drawn.")
    current_rows: int = Field(description="Rows drawn.")


def drift_html(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    policy: MonitoringPolicy,
    path: Path,
    *,
    columns: Sequence[str] | None = None,
    texts: Sequence[str] = (),
    result: DriftResult | None = None,
    seed: int = 0,
) -> DriftReport:
    """Draw Evidently's report.

    Args:
        reference: Rows of the reference; a sample of at most `policy.report_rows` is drawn.
        current: Rows of the window; sampled in the same way.
        policy: Methods and thresholds, and how many rows to draw.
        path: Where the HTML goes; it is written whole or not at all.
        columns: The columns to draw; by default all that both sides have.
        texts: Those of free text, in whose place Evidently's descriptors are drawn.
        result: The verdict over all rows, to be shown on top.
        seed: The seed of the samples.

    Returns:
        The drawn columns and those left out, with the reason.

    Raises:
        DriftReportError: no column can be drawn, Evidently raises, or the HTML is too large.
    """
    names = [name for name in reference.columns if name in current.columns] if columns is None else list(columns)
    if absent := [name for name in names if name not in reference.columns or name not in current.columns]:
        raise DriftReportError(f"column {absent[0]!r} must be on both sides of the report; leave it out of columns")
    old = reference_sample(reference[names], policy.report_rows, seed)
    new = reference_sample(current[names], policy.report_rows, seed)
    old, new = (described(side, texts) for side in (old, new))
    drawn, left_out = _drawable(old, new)
    if not drawn:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items()) or "none was given"
        raise DriftReportError(f"there is no column to draw ({reasons})")
    numeric = [name for name in drawn if drawn[name] == "numeric"]
    old, new = (_ready(side, list(drawn), numeric) for side in _few_categories(old, new, list(drawn), numeric))
    most_moved_first = _by_effect(list(drawn), result)
    number, size, text = min(MOST_COLUMNS, len(drawn)), LARGEST + 1, ""
    while size > LARGEST:
        if number < 1:
            raise DriftReportError(f"the report has {size:,} bytes with one column; Evidently's own part has grown")
        chosen = most_moved_first[:number]
        left_out |= dict.fromkeys(most_moved_first[number:], "there is no room for it")
        text = _render(
            _shown(old[chosen]),
            _shown(new[chosen]),
            numeric=[name for name in chosen if name in numeric],
            policy=policy,
        )
        text = text.replace("<body>", f"<body>{_top(policy, left_out, result)}", 1)
        text = with_policy(text, SELF_CONTAINED)
        size = len(text.encode())
        number = min(number - 1, int(number * 0.8))
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    return DriftReport(
        file=path.name,
        size=size,
        columns=tuple(chosen),
        left_out=left_out,
        reference_rows=len(old),
        current_rows=len(new),
    )


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows whose texts can't act in the page: Evidently writes categories into a script."""
    texts = [name for name in rows.columns if rows[name].dtype == object]
    return rows.assign(**{name: rows[name].map(page_text) for name in texts})


def _shown_names(names: Iterable[str]) -> dict[str, str]:
    """Return for each column a name that can't act in the page, since a header may come with the data too."""
    shown: dict[str, str] = {}
    for name in names:
        text = page_text(name)
        while text in shown.values():
            text += "'"
        shown[name] = text
    return shown


def _by_effect(names: Sequence[str], result: DriftResult | None) -> list[str]:
    """The names, those that have moved most first."""
    effects = {} if result is None else {column.column: column.effect or 0.0 for column in result.columns}
    return sorted(names, key=lambda name: -effects.get(name, 0.0))


def _drawable(old: pd.DataFrame, new: pd.DataFrame) -> tuple[dict[str, str], dict[str, str]]:
    """The kinds of the columns that Evidently can draw, and why the others can't be."""
    drawn: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for name in old.columns:
        kind = kind_of(old[name])
        if kind is None:
            left_out[name] = f"{old[name].dtype} is neither numeric nor categorical"
            continue
        if kind == "numeric":
            values = [numbers_of(side[name])[0] for side in (old, new)]
            filled = [side[np.isfinite(side)] for side in values]
        else:
            filled = [
                codes[codes >= 0].astype(np.float64) for codes in (codes_of(side[name])[0] for side in (old, new))
            ]
        if empty := [label for label, side in zip(("reference", "window"), filled, strict=True) if side.size == 0]:
            left_out[name] = f"empty in the {' and the '.join(empty)}"
        elif kind == "numeric" and np.unique(np.concatenate(filled)).size == 1:
            left_out[name] = f"constant: {filled[0][0]:g} in every row of both"
        else:
            drawn[name] = kind
    return drawn, left_out


def _few_categories(
    old: pd.DataFrame, new: pd.DataFrame, drawn: Sequence[str], numeric: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both sides with the rare categories drawn as one."""
    old, new = old[list(drawn)].copy(), new[list(drawn)].copy()
    for name in [name for name in drawn if name not in numeric]:
        sides = [_names(side[name]) for side in (old, new)]
        shares = [side.value_counts(normalize=True) for side in sides]
        largest = shares[0].add(shares[1], fill_value=0).sort_values(ascending=False, kind="stable").index[:CATEGORIES]
        old[name], new[name] = (side.where(side.isna() | side.isin(largest), "(all others)") for side in sides)
    return old, new


def _names(column: "pd.Series[Any]") -> "pd.Series[Any]":
    codes, categories = codes_of(column)
    names = np.array([*categories, None], dtype=object)
    return pd.Series(names[codes], index=column.index, dtype=object)


def _ready(side: pd.DataFrame, drawn: Sequence[str], numeric: Sequence[str]) -> pd.DataFrame:
    ready = {name: numbers_of(side[name])[0] if name in numeric else side[name] for name in drawn}
    frame = pd.DataFrame(ready, index=side.index)
    return frame.replace([np.inf, -np.inf], np.nan)


def _render(old: pd.DataFrame, new: pd.DataFrame, *, numeric: Sequence[str], policy: MonitoringPolicy) -> str:
    evidently, shown = import_evidently(), _shown_names(old.columns)
    try:
        metrics = [
            evidently.metrics.ValueDrift(
                column=shown[name],
                method=_method(policy, name, "numeric" if name in numeric else "categorical"),
                threshold=policy.threshold(name, "numeric" if name in numeric else "categorical"),
            )
            for name in old.columns
        ]
        definition = evidently.DataDefinition(
            numerical_columns=[shown[name] for name in numeric],
            categorical_columns=[shown[name] for name in old.columns if name not in numeric],
        )
        sides = [
            evidently.Dataset.from_pandas(side.rename(columns=shown), data_definition=definition) for side in (new, old)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return str(evidently.Report(metrics, include_tests=True).run(*sides).get_html_str(as_iframe=False))
    except Exception as error:  # pandas's, numpy's or plotly's, from within Evidently: the report failed, and says so
        raise DriftReportError(f"Evidently can't draw the report: {type(error).__name__}: {error}") from error
    except BaseException as error:
        # Some of Evidently's errors are no Exceptions; an interrupt or a cancelled run isn't Evidently's.
        if not type(error).__module__.startswith("evidently"):
            raise
        raise DriftReportError(f"Evidently can't draw the report: {type(error).__name__}: {error}") from error


def _method(policy: MonitoringPolicy, column: str, kind: str) -> str:
    """The method's name in Evidently, whose own total variation distance is a permutation test that takes minutes."""
    method = policy.method(column, kind)
    return "jensenshannon" if method == "tvd" else method


def _top(policy: MonitoringPolicy, left_out: dict[str, str], result: DriftResult | None) -> str:
    """Return everfit's text above Evidently's plots, as HTML."""
    lines = [f"Plots and the scores beside them are of at most {policy.report_rows:,} sampled rows of either side."]
    lines += [f"{name} isn't drawn: {reason}." for name, reason in left_out.items()]
    verdict = ""
    if result is not None:
        window = f" in {result.window}" if result.window else ""
        verdict = f"<h2>{html.escape(result.status.replace('_', ' '))}{html.escape(window)}</h2>"
        lines = [
            f"Decided over all {result.rows:,} rows against a reference of {result.reference_rows:,}.",
            *result.reasons,
            *lines,
        ]
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f'<div style="font-family: sans-serif; margin: 1em 2em">{verdict}<ul>{items}</ul></div>'
