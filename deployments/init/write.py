"""A proposal as a YAML spec that tells its reasons."""

import json
import re
from collections.abc import Iterator
from typing import Any

from everfit.deployments.init.look import Look
from everfit.deployments.init.proposal import Proposal

_WIDTH = 118


def write(made: Proposal, seen: Look) -> str:
    """The spec, with a comment wherever something was found out or chosen."""
    lines = [f"# Made by `everfit init` from {seen.rows:,} rows. Read it, and change what you know better."]
    for note in made.notes:
        lines += _comment(note)
    lines += [f"name: {made.name}", f"task: {made.task}  # binary, multiclass or regression", "", "source:"]
    lines += [f"  {name}: {_scalar(value)}" for name, value in seen.source.items()]
    if made.time_format:
        lines.append(f"  time_format: {_scalar(made.time_format)}")
    lines += ["", "columns:", *_columns(made)]
    if made.maturity:
        lines += ["", f"maturity: {made.maturity}  # 99 % of the labels are known by then"]
    elif made.event_time:
        lines += [
            "",
            "# How long after the event time labels are complete enough to be learned from:",
            "# maturity: 1d",
        ]
    lines += ["", "training:", "  window: all  # or how far back, such as 180d"]
    if made.holdout:
        lines.append(f"  holdout: {made.holdout}  # the last fifth of the rows, which no candidate is fitted on")
    else:
        lines.append("  holdout_share: 0.2  # a seeded sample of each class, which no candidate is fitted on")
    if made.candidates:
        lines += ["  # There are few rows, of which a forest often learns more than other trees do:"]
        lines += [f"  candidates: {_list(made.candidates)}"]
    least = {"min_rows": made.least_rows, "min_class_rows": made.least_class_rows}
    if any(least.values()):
        lines += ["", "gate:", "  # There are few rows, and the gate would have more to be sure of what it says:"]
        lines += [f"  {name}: {number}" for name, number in least.items() if number is not None]
    return "\n".join(lines) + "\n"


def _columns(made: Proposal) -> Iterator[str]:
    if made.key:
        yield f"  key: {_list(made.key)}  # what names a row"
    if made.event_time:
        yield f"  event_time: {_scalar(made.event_time)}  # when the thing to predict happens"
    if made.label_time:
        yield f"  label_time: {_scalar(made.label_time)}  # when the true label became known"
    yield f"  target: {_scalar(made.target)}"
    yield "  features:"
    yield from (f"    - {_scalar(name)}" for name in made.features)
    if made.ignored:
        yield "  ignore:"
        yield from (f"    - {_scalar(name)}  # {why}" for name, why in made.ignored.items())
    if made.protected:
        yield "  # Fairness is measured by the groups of these, once you put the # away:"
        yield f"  # protected: {_list(made.protected)}"


def _comment(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ")


def _list(names: Any) -> str:
    return f"[{', '.join(map(_scalar, names))}]"


def _scalar(value: Any) -> str:
    """A value as YAML writes it; plain where that can't be misread."""
    text = str(value)
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_./][\w./*-]*", text) and text.lower() not in _WORDS:
        return text
    return json.dumps(value, ensure_ascii=False)


_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "~", ".", "-"})
