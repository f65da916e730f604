"""The commands of decisions: `approve`, `decline`, `rollback`, `trial`, `reconcile`.

They read the registry, the ledger and the tables only, so that a champion can be rolled back while Prefect is down. If
a Prefect server is configured, it is notified of each decision.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.options import DECIDE, AsJson, By, Model, Reason, TurnId, Until, parse_time
from everfit.deployments.cli.output import print_json, print_lines
from everfit.deployments.cli.outside_errors import without_statement

if TYPE_CHECKING:
    from everfit.tasks.ledger import Release
    from everfit.tasks.release.approval import ApprovalAnswer
    from everfit.tasks.turns.context import Context

app = typer.Typer()


@app.command(rich_help_panel=DECIDE)
def approve(model: Model, turn: TurnId, by: By, reason: Reason, as_json: AsJson = False) -> None:
    """Approve and release a waiting challenger."""
    _decide(model, turn, "approve", by, reason, as_json=as_json)


@app.command(rich_help_panel=DECIDE)
def decline(model: Model, turn: TurnId, by: By, reason: Reason, as_json: AsJson = False) -> None:
    """Decline a waiting challenger; the champion stays."""
    _decide(model, turn, "decline", by, reason, as_json=as_json)


@app.command(rich_help_panel=DECIDE)
def rollback(
    model: Model,
    reason: Reason,
    to: Annotated[int | None, typer.Option(help="The version. By default it is the previous champion.")] = None,
    by: Annotated[
        str | None, typer.Option(help="The name of the person who decides. By default it is the user of this machine.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a former version the champion again.

    The version must load and predict first.
    """
    context, server_answers = without_prefect(model)
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.registry.accounts import acting_person
    from everfit.tasks.release import release as releasing
    from everfit.tasks.release.approval import check_signature
    from everfit.tasks.turns.entitlement import require_role

    name = context.spec.name
    actor, reason = check_signature(by or user_name(), reason)
    person = acting_person(context.settings, actor)
    require_role(context, "roll_back", person, datetime.now(UTC))
    known = {earlier.seq for earlier in context.ledger.releases.of(name)}
    # Held until the answer: if it is killed before that, the same command must not go back one version more.
    with context.ledger.leases.hold(name, scope="rollback", holder=actor) as until_answered:
        entry = releasing.rollback(
            context.ledger,
            context.mlflow,
            name,
            to=to,
            reason=reason,
            actor=person.signed,
            policy=context.spec.release,
            killed=until_answered.died,
        )
        ended = _follow_up(context, entry, server_answers=server_answers)
    if entry.seq in known:
        ended = [f"This finished the rollback that was interrupted at {entry.at:%Y-%m-%d %H:%M:%S} UTC", *ended]
    if as_json:
        print_json(entry.model_dump(mode="json") | {"done": ended})
        return
    before = f" in place of version {entry.previous_version}" if entry.previous_version is not None else ""
    print_lines(
        f"Version {entry.version} is the champion of {name} again{before} (release {entry.seq}): {entry.reason}", *ended
    )


def _follow_up(context: "Context", entry: "Release", *, server_answers: bool) -> list[str]:
    """Do what follows a rollback, and return a sentence for each thing that was done or could not be."""
    from everfit.tasks.core.event_names import RELEASE_ROLLED_BACK
    from everfit.tasks.core.events import emit
    from everfit.tasks.pages.updating import update_pages
    from everfit.tasks.registry import model_registry
    from everfit.tasks.release import approvals

    name = context.spec.name
    try:
        if server_answers:
            emit(RELEASE_ROLLED_BACK, name, release=entry)
        ended = approvals.reconcile(context, datetime.now(UTC))  # approvals of a comparison with the other champion end
        update_pages(context)
        if context.ledger.artifacts.find(model_registry.model_version(context.mlflow, name, entry.version)) is None:
            ended = [f"Its files were not checked, because none were recorded; see `everfit verify {name}`", *ended]
    except Exception as error:  # noqa: BLE001 - it is made: whoever ran it again would go back one version more
        text = " ".join(without_statement(str(error)).split())
        ended = [f"The rollback is made, its follow-up was not ({text}); run everfit reconcile {name}"]
    return ended


@app.command(rich_help_panel=DECIDE)
def trial(  # noqa: PLR0917 - each is an option of the command
    model: Model,
    until: Until = None,
    stop: Annotated[bool, typer.Option("--stop", help="Withdraw the challenger, whatever the results so far.")] = False,
    by: Annotated[str, typer.Option(help="The name of the person who stops the trial.")] = "",
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Continue or end a challenger's trial (canary, A/B, shadow).

    The results so far decide: the trial continues, the challenger is released, or it is withdrawn.
    """
    if stop and until is not None:
        raise EverfitError("--stop acts at once; remove --until")
    if not stop and (by or reason):
        raise EverfitError("--by and --reason belong to --stop; add --stop, or remove them")
    time = parse_time(until, "--until")
    context, server_answers = without_prefect(model)
    from everfit.tasks.batch.label_collection import collect_labels, label_window
    from everfit.tasks.registry.accounts import acting_person
    from everfit.tasks.release import approvals
    from everfit.tasks.release.traffic import trials
    from everfit.tasks.steps.trial import announce_trial
    from everfit.tasks.turns.accepted_spec import require_accepted
    from everfit.tasks.turns.entitlement import require_role
    from everfit.tasks.turns.turn_record import check_until

    require_accepted(context.ledger, context.spec)
    approvals.reconcile(context, datetime.now(UTC))
    if stop:
        person = acting_person(context.settings, by)
        require_role(context, "approve", person, datetime.now(UTC))
        result: trials.TrialResult | None = trials.stop(context, person.name, reason)
    else:
        check_until(time)
        collect_labels(context, label_window(context, time))
        result = trials.look_at(context, time)
    if result is not None and server_answers:
        announce_trial(context, result)
    content = {"model": context.spec.name, "state": "NoTrial"} if result is None else trials.trial_json(result)
    if as_json:
        print_json(content)
    else:
        print_lines(*_trial_lines(content))


@app.command(rich_help_panel=DECIDE)
def reconcile(model: Model, as_json: AsJson = False) -> None:
    """Repair an interrupted release and expire stale approvals.

    A champion that was set by hand in MLflow is recorded in the ledger. Labels on record under a key of another type
    than their prediction's, such as a number in place of text, get the prediction's key.
    """
    context, _ = without_prefect(model)
    from everfit.tasks.batch.label_keys import repair_label_keys
    from everfit.tasks.release import approvals
    from everfit.tasks.turns.accepted_spec import require_accepted

    require_accepted(context.ledger, context.spec)
    done = approvals.reconcile(context, datetime.now(UTC))
    if repaired := repair_label_keys(context):
        done = [*done, f"{repaired:,} labels had a key of another type than their predictions; they have theirs now"]
    if as_json:
        print_json({"model": context.spec.name, "done": done})
    else:
        print_lines(*(done or [f"{context.spec.name}: ledger and registry agree; nothing to do"]))


def without_prefect(model: str) -> "tuple[Context, bool]":
    """Return the context of a command that also works while Prefect is down.

    Args:
        model: A spec file, the name of a spec, or of a block.

    Returns:
        The context, and whether a Prefect server answers that is to be notified.

    Raises:
        EverfitError: MLflow does not answer, or there is no such spec.
    """
    settings = Settings()
    environment.check_mlflow(settings)
    environment.prepare(settings)
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.registry import mlflow_client
    from everfit.tasks.turns.context import Context

    mlflow_client.use_tracking(settings)
    server_answers = environment.server_answers()
    return Context(load_spec(model, stored=server_answers or not environment.has_server()), settings), server_answers


def _decide(model: str, turn_id: str, answer: "ApprovalAnswer", by: str, reason: str, *, as_json: bool) -> None:
    context, server_answers = without_prefect(model)
    from everfit.tasks.pages.updating import update_pages
    from everfit.tasks.registry.accounts import acting_person
    from everfit.tasks.release import approvals
    from everfit.tasks.steps.approval import announce_end
    from everfit.tasks.turns import turn_record

    person = acting_person(context.settings, by)
    turn = approvals.decide_approval(context, turn_id, answer, by=person, reason=reason, now=datetime.now(UTC))
    waits = turn.state == turn_record.AWAITING_APPROVAL
    if server_answers and not waits:
        announce_end(context, turn)
    update_pages(context)
    if as_json:
        print_json(turn_record.turn_json(turn))
        return
    if waits:
        names = [vote.person.signed for vote in approvals.votes(context, turn_id)]
        wanted = context.spec.gate.approvals
        print_lines(f"{len(names)} of {wanted} people have approved: {', '.join(names)}; the challenger still waits")
        return
    from everfit.deployments.cli.turn_tables import print_turn

    print_turn(turn_record.turn_json(turn))


def _trial_lines(trial: dict[str, Any]) -> list[str]:
    if trial["state"] == "NoTrial":
        return [f"{trial['model']}: no traffic trial is running; `everfit history` shows how the last one ended"]
    headline = f"{trial['state']}: version {trial['challenger']} against {trial['champion']}, {trial['strategy']}"
    if trial["share"]:
        headline += f", step {trial['step']} of {trial['steps']}, {100 * trial['share']:g} % of the keys"
    lines = [headline, *(f"  {reason}" for reason in trial["reasons"])]
    for number, step in enumerate((trial["evidence"] or {}).get("steps", []), start=1):
        rows = f"{step['challenger_rows']:,} predictions by the challenger, {step['champion_rows']:,} by the champion"
        place = "in the shadow" if trial["strategy"] == "shadow" else f"step {number}, {100 * step['share']:g} %"
        lines.append(f"  {place}: {rows}, {step['labels']:,} mature labels")
    return lines
