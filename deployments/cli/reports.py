"""The commands `report` and `verify-report`: a period of a model in one file that proves itself."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings
from everfit.deployments.cli.options import DECIDE, AsJson, Until, parse_time
from everfit.deployments.cli.output import print_json, print_lines

app = typer.Typer()


@app.command(rich_help_panel=DECIDE)
def report(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The name of a model.")],
    since: Annotated[str, typer.Option(help="The start of the period, such as 2024-01-01.")],
    until: Until = None,
    output: Annotated[
        Path | None, typer.Option(help="The file to write. By default MODEL-SINCE-UNTIL.html in this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a period of a model into one file for a review.

    It has decisions, approvals, releases, incidents, quality, fairness and risk, each with its row in the ledger.
    It also has the rows and the ledger's chain, so that `everfit verify-report` verifies it without the ledger. Exit
    with 1 if a row of the ledger was changed beside everfit; the report says which.
    """
    settings = Settings()
    from everfit import __version__
    from everfit.deployments.cli import environment
    from everfit.tasks.ledger import Ledger

    ledger = Ledger.open_existing(settings)
    start, end = parse_time(since, "--since"), parse_time(until, "--until")
    environment.prepare_without_prefect(settings)
    from everfit.deployments.cli.model_names import model_name
    from everfit.tasks.ledger.model_names import known_models
    from everfit.tasks.pages.period import read_period
    from everfit.tasks.pages.period_page import period_page

    name = model if model in known_models(ledger) else model_name(model, ledger)
    content = read_period(ledger, name, start, end, now=datetime.now(UTC), version=__version__)
    page = period_page(content)
    path = output or Path(f"{name}-{start:%Y%m%d}-{end:%Y%m%d}.html")
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise EverfitError(f"the report can't be written to {str(path)!r}: {error}; name another file") from error
    if as_json:
        unfit = list(content.unfit)
        print_json({"file": str(path), "bytes": len(page.encode()), "link": content.proof.head, "unfit": unfit})
    else:
        print_lines(
            f"The report of {name} is in {path}",
            f"Its newest link in the ledger is {content.proof.head}; note it elsewhere",
            *(f"ledger: {text}" for text in content.unfit),
            f"Verify:  everfit verify-report {path}",
        )
    raise typer.Exit(1 if content.unfit else 0)


@app.command(name="verify-report", rich_help_panel=DECIDE)
def verify_report(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A report that `everfit report` has written.")],
    noted: Annotated[
        str, typer.Option(help="A link of the ledger's chain that was noted elsewhere, as NUMBER:HASH.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Verify a report by itself, without the ledger.

    Exit with 1 if a row, a link, a signature or the text doesn't fit, with one sentence for each.
    """
    from everfit import __version__
    from everfit.tasks.models.signatures import trusted_signers
    from everfit.tasks.pages.period_check import check_report

    try:
        page = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EverfitError(f"the report {str(file)!r} can't be read: {error}") from error
    checked = check_report(page, signers=trusted_signers(Settings(), ()), noted=noted, version=__version__)
    if as_json:
        print_json(checked.model_dump(mode="json", exclude={"content"}) | {"model": checked.content.model})
    else:
        content = checked.content
        print_lines(
            f"{content.model}, {content.since:%Y-%m-%d} to {content.until:%Y-%m-%d}: "
            f"{checked.rows:,} rows against {checked.links:,} links, the newest is {content.proof.head}",
            *(f"vouched for by {name}" for name in checked.vouched),
            *(f"note: {text}" for text in checked.notes),
            *checked.problems,
            "All of it fits together" if not checked.problems else f"{len(checked.problems)} didn't fit",
        )
    raise typer.Exit(1 if checked.problems else 0)
