"""The result of monitoring a window on the terminal."""

from typing import Any

from everfit.deployments.cli.output import console

Window = dict[str, Any]


def print_window(window: Window) -> None:
    """Print the signals of a window, the verdict, and the actions that followed."""
    if window["champion"] is None:
        console.print(f"{window['model']}: {window['state']}, {window['reasons'][0]}", highlight=False)
        return
    champion = window["champion"]
    console.print(
        f"\n[bold]{window['model']}[/bold] as of {window['until'][:16]}, champion {champion['version']}: "
        f"[bold]{window['state']}[/bold]"
    )
    for reason in window["reasons"]:
        console.print(f"  {reason}", highlight=False)
    print_evidence(window["evidence"])
    print_figures(window["figures"])
    if window["next_try"]:
        console.print(f"  {window['next_try']}", highlight=False, markup=False)
    if window["waiting"]:
        console.print(f"  {window['waiting']}", highlight=False, markup=False)
    if window["turn_id"]:
        console.print(f"  turn {window['turn_id']}: {window['turn_state']}", highlight=False)
    for outcome in window["outcomes"]:
        console.print(f"  {outcome['summary']}", highlight=False)
    if window["held_back"]:
        console.print(f"  held back: {window['held_back']}", highlight=False)
    for failure in window["failed"]:
        console.print(f"  [red]failed[/red] {failure}", highlight=False)
    console.print(f"  MLflow run {window['mlflow_run_id']}, decision {window['decision_id'][:12]}", style="dim")


def print_figures(figures: list[dict[str, str]]) -> None:
    """Print the sum behind a decision: each figure and where it comes from.

    Args:
        figures: The rows `figures` of a window or of a decision of the gate.
    """
    width = max((len(row["name"]) for row in figures), default=0)
    for row in figures:
        origin = f"  ({row['origin']})" if row["origin"] else ""
        console.print(f"  {row['name']:<{width}}  {row['value']}{origin}", highlight=False, markup=False)


def print_evidence(evidence: list[dict[str, str]]) -> None:
    """Print every evidence area of a window: name and finding, or why it could not be measured.

    Args:
        evidence: The rows `evidence` of a window.
    """
    width = max((len(row["area"]) for row in evidence), default=0)
    for row in evidence:
        status = "" if row["status"] == "measured" else f"{row['status']}: "
        console.print(f"  {row['area']:<{width}}  {status}{row['finding']}", highlight=False, markup=False)
