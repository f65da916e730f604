"""The explanation of a turn on the terminal."""

from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from everfit.deployments.cli.output import console
from everfit.deployments.cli.window_view import print_figures
from everfit.tasks.gate.check import number

Content = dict[str, Any]

_NONE = "-"


def print_explanation(turn: Content) -> None:
    """Print the state of a turn, its reasons and its evidence, the most important first."""
    console.print(f"\n[bold]{turn['model']}[/bold] as of {_time(turn['until'])}: [bold]{turn['state']}[/bold]")
    for reason in [*turn["reasons"], *filter(None, [turn["error"]])]:
        _print_indented(reason)
    if turn["state"] == "AwaitingApproval":
        _print_indented(f"Decide: everfit approve|decline {turn['model']} {turn['turn_id']} --by NAME --reason TEXT")
    for decision in turn["decisions"]:
        _print_decision(decision)
    if turn["holdout"]:
        _print_metrics(turn["holdout"])
    if turn["candidates"]:
        _print_candidates(turn["candidates"])
    console.print()
    facts = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in _facts(turn):
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
    for name in ("check", "value", "limit"):
        table.add_column(name, justify="left" if name == "check" else "right", no_wrap=True)
    table.add_column("reason", ratio=1, overflow="fold")
    for check in decision["checks"]:
        passed = "[green]passed[/green]" if check["passed"] else "[bold red]failed[/bold red]"
        bound = _NONE if check["bound"] is None else number(check["bound"])
        value = _NONE if check["value"] is None else number(check["value"])
        table.add_row(passed, check["name"], value, bound, check["reason"])
    console.print(table, highlight=False)
    print_figures(decision["figures"])


def _print_metrics(holdout: Content) -> None:
    extended = ", extended back in time" if holdout["extended"] else ""
    rows = f"{holdout['rows']:,} rows, {_window(holdout['window'])}{extended}"
    console.print(f"\n[bold]hold-out[/bold]: {rows}", highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("")
    models = [name for name in ("challenger", "champion", "dummy") if holdout[name]]
    for name in ("metric", *models):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for metric in holdout["challenger"]:
        mark = "primary" if metric == holdout["metric"] else ""
        table.add_row(mark, metric, *(number((holdout[name] or {}).get(metric)) for name in models))
    console.print(table, highlight=False)


def _print_candidates(candidates: list[Content]) -> None:
    if candidates[0]["alone"]:
        name = candidates[0]["candidate"]
        console.print(f"\n[bold]candidates[/bold]\n{name}, the only one, with one setting: not tried", highlight=False)
        return
    console.print(f"\n[bold]candidates[/bold], by {candidates[0]['metric']} on later training rows", highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=False)
    for candidate in candidates:
        score = candidate["error"] or number(candidate["score"])
        table.add_row(candidate["candidate"], score, f"{candidate['seconds']:.1f} s")
    console.print(table, highlight=False)


def _facts(turn: Content) -> list[tuple[str, str]]:
    facts = [("turn", turn["turn_id"])]
    trigger = turn["trigger"]
    facts.append(("trigger", ": ".join(filter(None, [trigger["kind"], trigger["reason"]]))))
    took = "" if turn["seconds"] is None else f", took {turn['seconds']:.1f} s"
    again = f", attempt {turn['attempt']}" if turn["attempt"] > 1 else ""
    facts.append(("started", f"{_time(turn['started_at'])}{took}{again}"))
    if data := turn["data"]:
        counts = ", ".join(
            f"{data[name]:,} {name}" for name in ("new", "changed", "duplicates") if data[name] is not None
        )
        facts.append(("rows read", f"{data['read']:,} ({counts})"))
        if data["bad_rows"] is not None:
            failed = data["expectations_not_met"]
            met = f"{data['expectations'] - len(failed)} of {data['expectations']} met"
            facts.append(("expectations", f"{met}; {data['bad_rows']:,} bad rows in quarantine"))
            facts += [
                ("", f"not met: {outcome.get('expectation')} {outcome.get('observed', '')}".strip())
                for outcome in failed
            ]
        facts += [("", note) for note in data["notes"]]
    if fits := turn["trained_on"]:
        for name, fit in fits.items():
            facts.append((f"{name} fit", f"{fit['rows']:,} rows, {_window(fit['window'])} ({fit['candidate']})"))
    if snapshot := turn["snapshot"]:
        facts.append(
            ("snapshot", f"version {snapshot.get('version')}, digest {str(snapshot.get('content_digest'))[:12]}")
        )
    if challenger := turn["challenger"]:
        facts.append(("challenger", f"version {challenger['version']}, MLflow run {challenger['run_id']}"))
    for entry in turn["releases"]:
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
    if turn["code_version"]:
        facts.append(("code, spec", f"{turn['code_version'][:12]}, {turn['spec_digest'][:12]}"))
    return facts


def _time(text: str) -> str:
    return f"{text[:10]} {text[11:16]}"


def _window(window: Content | None) -> str:
    """Return a window, or the window of a sample, as text."""
    if not window:
        return "unknown"
    inner = window.get("window") if isinstance(window.get("window"), dict) else window
    since, until = inner.get("since"), inner.get("until")  # type: ignore[union-attr]
    return f"{_time(since) if since else 'the beginning'} to {_time(until) if until else _NONE}"
