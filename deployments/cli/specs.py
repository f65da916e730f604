"""The command `accept-spec`."""

from datetime import UTC, datetime

import typer

from everfit.deployments.cli.decisions import without_prefect
from everfit.deployments.cli.options import DECIDE, AsJson, By, Model, Reason
from everfit.deployments.cli.output import print_json, print_lines

app = typer.Typer()


@app.command(rich_help_panel=DECIDE)
def accept_spec(model: Model, by: By = "", reason: Reason = "", as_json: AsJson = False) -> None:
    """Accept an edited spec, where `roles.edit` names its editors.

    Until then no flow uses it, and no service starts by it. The ledger records who accepted which spec, and which keys
    had changed.
    """
    context, _ = without_prefect(model)
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.registry.accounts import acting_person
    from everfit.tasks.turns import accepted_spec
    from everfit.tasks.turns.accepted_copy import publish_accepted

    name, person = context.spec.name, acting_person(context.settings, by or user_name())
    changed = accepted_spec.accept_spec(context.ledger, context.spec, person, reason, datetime.now(UTC))
    publish_accepted(context.ledger, context.workspace, name)
    if as_json:
        print_json({"model": name, "by": person.signed, "changed": list(changed)})
    elif changed:
        print_lines(f"{person.signed} has accepted the spec of {name}; changed: {', '.join(changed)}")
    elif accepted_spec.roles_in_force(context.ledger, context.spec).edit:
        print_lines(f"The spec of {name} is the accepted one; nothing to do")
    else:
        print_lines(f"roles.edit of {name} names nobody, so every spec is used; nothing to do")
