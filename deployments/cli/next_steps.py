"""The end of `everfit train`: where to look, and what to do next. Pure."""

from typing import Any


def next_steps(turn: dict[str, Any], model: str, tracking_uri: str) -> list[str]:
    """Return the lines for a person who has just run a turn.

    Args:
        turn: The turn, as `everfit train --json` prints it.
        model: The model as it was given to the command: a spec file or a name.
        tracking_uri: The address of MLflow.
    """
    turn_id = turn["turn_id"]
    look = [f"Look:  everfit explain {turn_id}"]
    if turn["mlflow_run_id"]:
        served = tracking_uri.startswith(("http://", "https://"))
        page = tracking_uri if served else f"mlflow ui --backend-store-uri {tracking_uri}"
        look.append(f"       {page}, experiment {turn['model']}: the report and the model card")
    return [*look, f"State: {turn['state']}", *_next(turn, model)]  # the reasons above may be long


def _next(turn: dict[str, Any], model: str) -> list[str]:
    state, turn_id = turn["state"], turn["turn_id"]
    if state == "Promoted":
        return [
            f"Next:  everfit score {model}        # predict the new rows of the source",
            f"       everfit serve {model}        # or answer requests over HTTP",
            f"       everfit monitor {model}      # once it is used: check the newest window",
        ]
    if state == "AwaitingApproval":
        return [
            f"Next:  everfit approve {model} {turn_id} --by NAME --reason WHY",
            f"       everfit decline {model} {turn_id} --by NAME --reason WHY",
        ]
    if state == "DataRejected":
        return [
            f"Next:  everfit quarantine {model}    # the rows that were refused, by reason",
            f"       everfit expectations {model}  # what the data must meet",
        ]
    if state == "OnTrial":
        return [f"Next:  everfit trial {model}         # how the challenger does on live traffic"]
    if state == "ChampionKept" and turn["champion"] is None:
        return [
            "Next:  change what the reasons above name (rows, columns, the spec), then",
            f"       everfit train {model} --reason WHY",
        ]
    return [f"Next:  everfit history {model}       # all turns and releases"]
