"""The result of monitoring a window on the terminal."""

from typing import Any

from everfit.deployments.cli.output import console

Window = dict[str, Any]


def print_window(window: Window) -> None:
    """Print the signals of a window, the verdict, and the actions that followed."""
    if window["champion"] is None:
        console.print(f"{window['model']}: {window['state']}, {window['reasons'][0]}", highlight=False)
        return
    signals, champion = window["signals"], window["champion"]
    console.print(
        f"\n[bold]{window['model']}[/bold] as of {window['until'][:16]}, champion {champion['version']}: "
        f"[bold]{window['state']}[/bold]"
    )
    for reason in window["reasons"]:
        console.print(f"  {reason}", highlight=False)
    console.print(f"  {describe(signals)}", highlight=False)
    if window["turn_id"]:
        console.print(f"  turn {window['turn_id']}: {window['turn_state']}", highlight=False)
    for outcome in window["outcomes"]:
        console.print(f"  {outcome['words']}", highlight=False)
    if window["held_back"]:
        console.print(f"  held back: {window['held_back']}", highlight=False)
    for failure in window["failed"]:
        console.print(f"  [red]failed[/red] {failure}", highlight=False)
    console.print(f"  MLflow run {window['mlflow_run_id']}, decision {window['decision_id'][:12]}", style="dim")


def describe(signals: dict[str, Any]) -> str:
    """Return the signals as one line."""
    data, drift, quality = signals["data"], signals["drift"], signals["quality"]
    parts = [f"{data['rows']:,} predictions"]
    parts.append(f"{len(drift['columns'])} columns drifted" if drift["drifted"] is not None else "drift unknown")
    if quality["value"] is not None:
        parts.append(f"{quality['metric']} {quality['value']:.4f} on {quality['rows']:,} mature labels")
    else:
        parts.append("quality unknown")
    if quality["value_per_row"] is not None:
        low, high = quality["value_interval"]
        value = f"{quality['value_per_row']:.4g} {quality['value_unit']}".strip()
        parts.append(f"{value} per row ({low:.4g} to {high:.4g})")
    parts += [f"{user['metric']} {user['value']:.4g}" for user in signals["satisfaction"] if user["value"] is not None]
    return ", ".join(parts)
