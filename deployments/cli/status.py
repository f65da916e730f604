"""The command `status`: the state of a model, or of all models."""

from typing import TYPE_CHECKING, Annotated

import typer

from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.limits import known_limits
from everfit.deployments.cli.options import DECIDE, AsJson, Until, parse_time
from everfit.deployments.cli.output import print_json, print_lines

if TYPE_CHECKING:
    from everfit.tasks.pages.model_status import ModelStatus

app = typer.Typer()


@app.command(rich_help_panel=DECIDE)
def status(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="A model. By default all models.")] = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Show whether models are fit, what happened, what waits.

    Without a model it shows one line each: what is wrong comes first.
    """
    settings = Settings()
    from everfit.tasks.ledger import Ledger

    ledger, end = Ledger.open_existing(settings), parse_time(until, "--until")
    environment.prepare(settings)
    from everfit.deployments.cli.model_names import model_name
    from everfit.tasks.ledger.model_names import known_models
    from everfit.tasks.pages.facts import read_model_facts
    from everfit.tasks.pages.status import status_of
    from everfit.tasks.pages.words import overview_lines, status_lines, worst_first

    if model is not None:
        known = model if model in known_models(ledger) else model_name(model, ledger)
        found = status_of(
            read_model_facts(
                ledger, known, end, policy=known_limits(known, settings, stored=environment.server_answers())
            )
        )
        if as_json:
            print_json(found.model_dump(mode="json"))
        else:
            print_lines(*status_lines(found))
        return
    every = worst_first([status_of(read_model_facts(ledger, name, end)) for name in known_models(ledger)])
    if as_json:
        print_json({"until": end.isoformat(), "models": [_short(found) for found in every]})
    else:
        print_lines(*overview_lines(every))


def _short(found: "ModelStatus") -> dict[str, object]:
    return found.model_dump(mode="json", exclude={"last_turn", "limits"})
