"""A turn's story as `everfit explain` prints it for people."""

from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from everfit.deployments.cli.tables import console
from everfit.tasks.gate.check import number

Content = dict[str, Any]

_NONE = "-"


def print_story(story: Content) -> None:
    """How a turn ended and why, and all that this rests on, the most wanted first."""
    console.print(f"\n[bold]{story['model']}[/bold] as of {_time(story['until'])}: [bold]{story['state']}[/bold]")
    for reason in [*story["reasons"], *filter(None, [story["error"]])]:
        _print_indented(reason)
    if story["state"] == "AwaitingApproval":
        _print_indented(f"Decide: everfit approve|reject {story['model']} {story['turn_id']} --by NAME --why TEXT")
    for decision in story["decisions"]:
        _print_decision(decision)
    if story["holdout"]:
        _print_metrics(story["holdout"])
    if story["candidates"]:
        _print_candidates(story["candidates"])
    console.print()
    facts = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in _facts(story):
        facts.add_row(f"[dim]{name}[/dim]", value)
    console.print(facts, highlight=False)


def _print_indented(text: str) -> None:
    console.print(Padding(Text(text), (0, 0, 0, 2)))


def _print_decision(decision: Content) -> None:
    by = "" if decision["by"] == "everfit" else f" by {decision['by']}"
    risk = f", risk {decision['risk']}" if decision["risk"] else ""
    head = f"\n[bold]{decision['kind']}[/bold]: {decision['verdict']}{by}, {_time(decision['at'])}{risk}"
    console.print(head, highlight=False)
    if not decision["checks"]:
        for reason in decision["reasons"]:
            _print_indented(reason)
        return
    table = Table(show_lines=False, pad_edge=False, box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    for name in ("check", "value", "bound"):
        table.add_column(name, justify="left" if name == "check" else "right", no_wrap=True)
    table.add_column("why", ratio=1, overflow="fold")
    for check in decision["checks"]:
        passed = "[green]passed[/green]" if check["passed"] else "[bold red]failed[/bold red]"
        bound = _NONE if check["bound"] is None else number(check["bound"])
        value = _NONE if check["value"] is None else number(check["value"])
        table.add_row(passed, check["name"], value, bound, check["reason"])
    console.print(table, highlight=False)


def _print_metrics(holdout: Content) -> None:
    extended = ", extended back in time" if holdout["extended"] else ""
    rows = f"{holdout['rows']:,} rows, {_window(holdout['window'])}{extended}"
    console.print(f"\n[bold]hold-out[/bold]: {rows}", highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("")
    who = [name for name in ("challenger", "champion", "dummy") if holdout[name]]
    for name in ("metric", *who):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for metric in holdout["challenger"]:
        mark = "primary" if metric == holdout["metric"] else ""
        table.add_row(mark, metric, *(number((holdout[name] or {}).get(metric)) for name in who))
    console.print(table, highlight=False)


def _print_candidates(candidates: list[Content]) -> None:
    console.print(f"\n[bold]candidates[/bold], by {candidates[0]['metric']} on later training rows", highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=False)
    for candidate in candidates:
        score = candidate["error"] or number(candidate["score"])
        table.add_row(candidate["candidate"], score, f"{candidate['seconds']:.1f} s")
    console.print(table, highlight=False)


def _facts(story: Content) -> list[tuple[str, str]]:
    facts = [("turn", story["turn_id"])]
    trigger = story["trigger"]
    facts.append(("trigger", ": ".join(filter(None, [trigger["kind"], trigger["reason"]]))))
    took = "" if story["seconds"] is None else f", took {story['seconds']:.1f} s"
    again = f", attempt {story['attempt']}" if story["attempt"] > 1 else ""
    facts.append(("started", f"{_time(story['started_at'])}{took}{again}"))
    if data := story["data"]:
        counts = ", ".join(
            f"{data[name]:,} {name}" for name in ("new", "changed", "duplicates") if data[name] is not None
        )
        facts.append(("rows read", f"{data['read']:,} ({counts})"))
        if data["bad_rows"] is not None:
            failed = data["expectations_not_met"]
            told = f"{data['expectations'] - len(failed)} of {data['expectations']} hold"
            facts.append(("expectations", f"{told}; {data['bad_rows']:,} bad rows in quarantine"))
            facts += [
                ("", f"not met: {outcome.get('expectation')} {outcome.get('observed', '')}".strip())
                for outcome in failed
            ]
        facts += [("", note) for note in data["notes"]]
    if fits := story["trained_on"]:
        for name, fit in fits.items():
            facts.append(
                (f"fit that was {name}", f"{fit['rows']:,} rows, {_window(fit['window'])} ({fit['candidate']})")
            )
    if snapshot := story["snapshot"]:
        facts.append(
            ("snapshot", f"version {snapshot.get('version')}, digest {str(snapshot.get('content_digest'))[:12]}")
        )
    if challenger := story["challenger"]:
        facts.append(("challenger", f"version {challenger['version']}, MLflow run {challenger['run_id']}"))
    for entry in story["releases"]:
        was = (
            "the first champion"
            if entry["previous_version"] is None
            else f"in place of version {entry['previous_version']}"
        )
        note = f" ({entry['note']})" if entry["note"] else ""
        facts.append(
            (
                f"release {entry['seq']}",
                f"version {entry['version']}, {was}, {entry['state']}{note}, {_time(entry['at'])}",
            )
        )
    if story["code_version"]:
        facts.append(("code, spec", f"{story['code_version'][:12]}, {story['spec_digest'][:12]}"))
    return facts


def _time(text: str) -> str:
    return f"{text[:10]} {text[11:16]}"


def _window(window: Content | None) -> str:
    """A window, or a sample of one."""
    if not window:
        return "unknown"
    inner = window.get("window") if isinstance(window.get("window"), dict) else window
    since, until = inner.get("since"), inner.get("until")  # type: ignore[union-attr]
    return f"{_time(since) if since else 'the beginning'} to {_time(until) if until else _NONE}"
