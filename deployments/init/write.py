"""A proposal as a YAML spec with a comment on each choice."""

import json
import re
from collections.abc import Iterator
from typing import Any

from everfit.deployments.init.look import Look
from everfit.deployments.init.proposal import Proposal
from everfit.tasks.core.spec_loading import yaml_content

_WIDTH = 118


_MATURITY = "99 % of the labels are known after this time"


def write(made: Proposal, seen: Look) -> str:
    """Return the spec as YAML, with a comment on each finding and choice."""
    lines = [
        f"# Written by `everfit init` from {seen.rows:,} rows. Check each line, and correct it where you know better."
    ]
    for note in made.notes:
        lines += _comment(note)
    lines += [f"name: {made.name}", f"task: {made.task}  # binary, multiclass or regression", "", "source:"]
    formats = {"time_format": made.time_format, "label_time_format": made.label_time_format}
    source = {**seen.source, **{name: value for name, value in formats.items() if value}}
    lines += [f"  {name}: {_scalar(value)}" for name, value in source.items()]
    lines += ["", "columns:", *_columns(made)]
    if made.maturity:
        lines += ["", f"maturity: {made.maturity}  # {made.maturity_reason or _MATURITY}"]
    elif made.event_time:
        lines += [
            "",
            "# The time after the event at which nearly all labels are known:",
            "# maturity: 1d",
        ]
    lines += [
        "",
        "training:",
        "  window: auto  # all history or its newest part, whichever does better on new rows",
    ]
    if made.holdout:
        lines.append(
            f"  holdout: {made.holdout}  # the newest {made.holdout_rows:,} rows or so; no candidate is fitted on it"
        )
    else:
        lines.append("  holdout_share: 0.2  # a random sample of each class; no candidate is fitted on it")
    if made.candidates:
        lines += ["  # With few rows, a random forest often does better than gradient boosting:"]
        lines += [f"  candidates: {_list(made.candidates)}"]
    least = {"min_rows": made.least_rows, "min_class_rows": made.least_class_rows}
    if any(least.values()):
        lines += [
            "",
            "gate:",
            "  # Lower than the gate's defaults, since the data has few rows. Decisions are less certain:",
        ]
        lines += [f"  {name}: {number}" for name, number in least.items() if number is not None]
    if made.window:
        lines += [
            "",
            "monitoring:",
            "  # The newest rows that each run of monitoring judges; after a pause, all since the last run:",
            f"  window: {made.window}  # has about {made.window_rows:,} labelled rows",
        ]
    if made.least_labels is not None:
        lines += [
            "  # Lower than the default, since a window has few rows. Decisions are less certain:",
            f"  min_labels: {made.least_labels}",
            f"  min_rows: {made.least_labels}",
        ]
    return "\n".join(_UNPRINTABLE.sub(_escaped, line) for line in lines) + "\n"


_UNPRINTABLE = re.compile("[^\t -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""Characters that YAML does not allow, or takes for the end of a line."""


def _escaped(found: re.Match[str]) -> str:
    """Return a character as YAML writes it between double quotes; in a comment it is read by people alone."""
    return f"\\u{ord(found[0]):04x}"


def _columns(made: Proposal) -> Iterator[str]:
    if made.key:
        yield f"  key: {_list(made.key)}  # the columns that identify a row"
    if made.event_time:
        if made.event_time_signs:
            yield from _comment(f"The event time was chosen by these signs: {'; '.join(made.event_time_signs)}.", "  ")
        yield f"  event_time: {_scalar(made.event_time)}  # the time of the event to predict"
    if made.label_time:
        yield f"  label_time: {_scalar(made.label_time)}  # the time at which the true label became known"
    if made.entity:
        yield f"  entity: {_scalar(made.entity)}  # its rows hang together, so they count as a whole in comparisons"
    yield f"  target: {_scalar(made.target)}"
    yield "  features:"
    for name in made.features:
        yield f"    - {_scalar(name)}{f'  # {made.doubtful[name]}' if name in made.doubtful else ''}"
    if made.texts:
        yield f"  text: {_list(made.texts)}  # the model learns from their words"
    yield from _numbers(made)
    if made.ignored:
        yield "  ignore:"
        yield from (f"    - {_scalar(name)}  # {why}" for name, why in made.ignored.items())
    yield from _choices(made)


def _numbers(made: Proposal) -> Iterator[str]:
    """Yield how the numbers of columns of text are written."""
    if made.numbers:
        yield "  numbers:  # they are text in the source; a value with another unit is bad"
    for name, kind in made.numbers.items():
        keys = {"unit": kind.unit, "decimal": "" if kind.decimal == "." else kind.decimal}
        written = ", ".join(f"{key}: {_scalar(value)}" for key, value in keys.items() if value)
        yield f"    {_scalar(name)}: {{{written}}}"


def _choices(made: Proposal) -> Iterator[str]:
    """Yield roles of columns that only a person can decide, as comments."""
    for purpose, choice, names in (
        (
            "take values that differ by blanks, letter case or Unicode form for the same",
            "any_spelling",
            made.any_spelling,
        ),
        ("measure fairness by the groups of these columns", "protected", made.protected),
    ):
        if names:
            yield f"  # To {purpose}, remove the #:"
            yield f"  # {choice}: {_list(names)}"


def _comment(text: str, indent: str = "") -> list[str]:
    import textwrap

    return textwrap.wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _list(names: Any) -> str:
    return f"[{', '.join(map(_scalar, names))}]"


def _scalar(value: Any) -> str:
    """Return a value as YAML, quoted where a plain text would be misread."""
    text = str(value)
    is_plain = re.fullmatch(r"[A-Za-z_./][\w./*-]*", text) and text.lower() not in _WORDS
    if is_plain and isinstance(value, str) and yaml_content(text, text) == text:
        return text
    return json.dumps(value, ensure_ascii=False)


_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "~", ".", "-"})
