"""The commands of the history: `history`, `explain`, `trace`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from everfit.blocks.errors import DataError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.model_names import model_name
from everfit.deployments.cli.options import DECIDE, AsJson, Model, ModelOption, TurnId
from everfit.deployments.cli.output import print_json, print_lines

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from everfit.tasks.batch.trace import Trace
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.storage.workspace import Workspace

app = typer.Typer()


@app.command(rich_help_panel=DECIDE)
def history(
    model: Model,
    worth: Annotated[
        bool, typer.Option("--worth", help="Show by month what the loop has been worth, in place of the turns.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the turns and releases of a model, with reasons."""
    if worth:
        _show_worth(model, as_json=as_json)
        return
    content = _history(model)
    if as_json:
        print_json(content)
        return
    from everfit.deployments.cli.turn_tables import print_history

    print_history(content)


@app.command(rich_help_panel=DECIDE)
def explain(turn: TurnId, as_json: AsJson = False) -> None:
    """Show the decision of a turn with all its evidence."""
    settings = Settings()
    from everfit.tasks.ledger import Ledger

    ledger = Ledger.open_existing(settings)  # first of all: a command that only reads creates no folder
    environment.prepare(settings)
    from everfit.tasks.turns.explanation import explain as explain_turn

    explanation = explain_turn(ledger.story(turn))
    if as_json:
        print_json(explanation)
        return
    from everfit.deployments.cli.explanation_view import print_explanation

    print_explanation(explanation)


@app.command(rich_help_panel=DECIDE)
def trace(
    prediction: Annotated[
        str, typer.Argument(metavar="PREDICTION_ID", help="The id of a prediction, as the service returned it.")
    ],
    model: ModelOption = None,
    page: Annotated[bool, typer.Option("--page", help="Write it as a page beside the model's page.")] = False,
    as_json: AsJson = False,
) -> None:
    """Trace a prediction to its model, data, decision and code."""
    settings = Settings()
    environment.prepare(settings)
    from everfit.tasks.batch.trace import trace_prediction
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.registry.mlflow_client import check_tracking, tracking_client
    from everfit.tasks.storage.workspace import Workspace

    ledger = Ledger.open_existing(settings)
    check_tracking(settings)
    workspace, client = Workspace.of(settings), tracking_client(settings)
    name = _model_of(prediction, client, workspace) if model is None else model_name(model, ledger)
    origin = trace_prediction(
        prediction,
        name,
        predicted=workspace.table(name, "predictions"),
        labelled=workspace.table(name, "labels"),
        ledger=ledger,
        client=client,
    )
    address = _write_page(prediction, origin, workspace, ledger) if page else None
    if as_json:
        print_json(origin.model_dump(mode="json") | ({} if address is None else {"page": address}))
        return
    from everfit.deployments.cli.trace_view import print_trace

    print_trace(origin)
    if address is not None:
        print_lines(f"Look:  {address}")


def _write_page(prediction: str, origin: "Trace", workspace: "Workspace", ledger: "Ledger") -> str:
    """Write the story of a prediction beside the page of its model, which links to it, and return its address."""
    from datetime import UTC, datetime

    from everfit.tasks.pages.prediction_page import prediction_page
    from everfit.tasks.pages.writing import FOLDER, STORIES_FOLDER, write_model

    address = workspace.file(FOLDER, origin.version.model, STORIES_FOLDER, f"{prediction}.html")
    workspace.write(address, prediction_page(prediction, origin, datetime.now(UTC)).encode())
    write_model(ledger, workspace, origin.version.model)
    return address


def _show_worth(model: str, *, as_json: bool) -> None:
    """Print what the loop has been worth by month."""
    settings = Settings()
    from everfit.tasks.ledger import Ledger

    ledger = Ledger.open_existing(settings)
    environment.prepare(settings)
    from everfit.tasks.monitoring.kept_worth import kept_worth
    from everfit.tasks.monitoring.worth import sum_of, worth_summary

    name = model_name(model, ledger)
    months = kept_worth(ledger, name)
    if as_json:
        total = sum_of(months).model_dump(mode="json") if months else None
        lines = [month.model_dump(mode="json") for month in months]
        print_json({"model": name, "summary": worth_summary(months), "months": lines, "all": total})
        return
    from everfit.deployments.cli.turn_tables import print_worth

    print_worth(name, months)


def _history(model: str) -> dict[str, Any]:
    """Return the turns and releases of a model, oldest first.

    Raises:
        EverfitError: There is no ledger, or no such model.
    """
    settings = Settings()
    from everfit.tasks.ledger import Ledger

    ledger = Ledger.open_existing(settings)  # first of all: a command that only reads creates no folder
    environment.prepare(settings)
    from everfit.tasks.ledger.model_names import name_changes
    from everfit.tasks.turns.turn_record import turn_json
    from everfit.tasks.turns.waiting import find_waiting

    name = model_name(model, ledger)
    turns, champion = ledger.turns.of(name), ledger.releases.current(name)
    waiting = find_waiting(turns, None if champion is None else champion.version)
    return {
        "model": name,
        "changes": [
            {"kind": entry.kind, "at": entry.at.isoformat(), "reason": entry.reasons[0]}
            for entry in name_changes(ledger, name)
        ],
        "turns": [turn_json(turn) for turn in turns],
        "waiting": None if waiting is None else {**waiting.model_dump(mode="json"), "summary": waiting.summary},
        "releases": [
            {
                "seq": entry.seq,
                "version": entry.version,
                "previous": entry.previous_version,
                "reason": entry.reason,
                "actor": entry.actor,
                "at": entry.at.isoformat(),
                "turn_id": entry.turn_id,
                "kind": entry.kind,
                "state": entry.state,
            }
            for entry in ledger.releases.of(name)
        ],
    }


def _model_of(prediction: str, client: "MlflowClient", workspace: "Workspace") -> str:
    from everfit.tasks.predictions import prediction_log
    from everfit.tasks.registry import model_registry

    names = [name for name in model_registry.names(client) if workspace.table(name, "predictions").exists()]
    if not names:
        raise DataError(
            f"{workspace.uri!r} has no predictions yet; run `everfit score MODEL` first, or check that "
            f"EVERFIT_WORKSPACE is the right one"
        )
    for name in names:
        try:
            if (
                len(names) == 1
                or prediction_log.find_prediction(workspace.table(name, "predictions"), prediction) is not None
            ):
                return name
        except ValueError:
            return name  # not an id; the same error follows as for a named model
    raise DataError(
        f"there is no prediction {prediction!r} of {', '.join(names)}; check the id, or try again in a few seconds if "
        f"the service has just returned it"
    )
