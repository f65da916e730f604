"""The spec as the people with the right to edit it have accepted it, where the spec names such people.

A spec can be edited in a file, in Prefect's UI and by its API, and none of these asks everfit. So the ledger has the
content that an editor has accepted, and a spec with other content is refused where it is used.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from everfit.blocks.content import SpecContent
from everfit.blocks.roles import RolesPolicy
from everfit.tasks.core.people import Person, RoleError
from everfit.tasks.core.records import Record
from everfit.tasks.core.spec_keys import with_current_keys
from everfit.tasks.core.spec_secrets import put, secrets_of
from everfit.tasks.turns.refusals import check_role_on_record

if TYPE_CHECKING:
    from everfit.tasks.ledger import Ledger

ACCEPTED = "spec"
"""Kind of the decisions that record accepted specs."""

_ELSEWHERE = ("env:", "block:")
_SHOWN = 8


class AcceptedSpec(Record):
    """A spec that an editor has accepted.

    Attributes:
        person: The editor.
        content: The spec as plain data. A secret is in it only as the name of its place, such as `env:SALES_URL`.
    """

    person: Person
    content: dict[str, Any] = Field(description="As in YAML.")


def accepted_spec(ledger: "Ledger", model: str) -> AcceptedSpec | None:
    """Return the spec that an editor accepted last, or None without one.

    Args:
        ledger: The ledger.
        model: Name of the model.
    """
    found = ledger.decisions.of(model, kind=ACCEPTED, limit=1)
    return AcceptedSpec.recall(found[-1].record) if found else None


def roles_in_force(ledger: "Ledger", spec: SpecContent) -> RolesPolicy:
    """Return the roles that count for a model: those of the accepted spec if it names editors, or else the spec's own.

    Args:
        ledger: The ledger.
        spec: The spec, which somebody may have edited without the right to it.
    """
    return _roles(spec, accepted_spec(ledger, spec.name))


def accept_spec(ledger: "Ledger", spec: SpecContent, person: Person, reason: str, now: datetime) -> tuple[str, ...]:
    """Record that an editor accepts a spec as it is; safe to repeat.

    A spec without `roles.edit`, whose model never had it, needs nobody, and nothing is recorded.

    Args:
        ledger: The ledger.
        spec: The spec.
        person: The person who accepts it.
        reason: Why.
        now: The present.

    Returns:
        The keys that differ from the spec that was accepted before; empty if that is the same.

    Raises:
        RoleError: The person may not edit the spec.
    """
    accepted = accepted_spec(ledger, spec.name)
    if not spec.roles.edit and accepted is None:
        return ()
    changed = differing_keys(spec, accepted)
    if not changed:
        return ()
    check_role_on_record(ledger, spec.name, _roles(spec, accepted), "edit", person, now)
    ledger.decisions.record(
        f"{spec.name}/{ACCEPTED}/{now:%Y%m%dT%H%M%S.%f}",
        model=spec.name,
        kind=ACCEPTED,
        verdict="accepted",
        reasons=[f"{person.signed}: {reason or 'no reason was given'}", f"changed: {', '.join(changed)}"],
        record=AcceptedSpec(person=person, content=_content(spec)),
    )
    return changed


def require_accepted(ledger: "Ledger", spec: SpecContent) -> None:
    """Refuse to use a spec that nobody with the right to edit it has accepted.

    Args:
        ledger: The ledger.
        spec: The spec.

    Raises:
        RoleError: The spec is not the accepted one.
    """
    refuse_unless_accepted(spec, accepted_spec(ledger, spec.name))


def refuse_unless_accepted(spec: SpecContent, accepted: AcceptedSpec | None) -> None:
    """Refuse a spec that names editors, or whose accepted one does, and is not the accepted one.

    Args:
        spec: The spec.
        accepted: The spec that an editor accepted last.

    Raises:
        RoleError: The spec is not the accepted one.
    """
    named = _roles(spec, accepted).edit
    if not named:
        return
    changed = differing_keys(spec, accepted)
    if not changed:
        return
    shown = ", ".join(changed[:_SHOWN]) + (", …" if len(changed) > _SHOWN else "")
    problem = (
        "nobody has accepted it yet"
        if accepted is None
        else f"it differs from the one that {accepted.person.signed} has accepted: {shown}"
    )
    raise RoleError(
        f"the spec of {spec.name!r} is not used: {problem}. roles.edit names {', '.join(named)}; let one of them look "
        f"at it and run `everfit accept-spec {spec.name}`, or undo the change"
    )


def differing_keys(spec: SpecContent, accepted: AcceptedSpec | None) -> tuple[str, ...]:
    """Return the keys in which a spec differs from an accepted one; all its sections if there is none.

    Args:
        spec: The spec.
        accepted: The spec as it was accepted.
    """
    content = _content(spec)
    if accepted is None:
        return tuple(content)
    before = _as_today(accepted.content, spec)
    return tuple(_differing(content, before))


def _roles(spec: SpecContent, accepted: AcceptedSpec | None) -> RolesPolicy:
    roles = None if accepted is None else RolesPolicy.model_validate(accepted.content.get("roles", {}))
    return spec.roles if roles is None or not roles.edit else roles


def _content(spec: SpecContent) -> dict[str, Any]:
    content = spec.content()
    del content["name"]  # a renamed model keeps its spec
    for place, secret in secrets_of(spec):
        text = secret.get_secret_value()
        if place and place[0] in content:
            put(content, place, text if text.startswith(_ELSEWHERE) else "a secret")
    return content


def _as_today(content: dict[str, Any], spec: SpecContent) -> dict[str, Any]:
    """Return what an earlier everfit recorded as this one would: with its new keys and their defaults.

    A bootstrap writes the addresses of the services into a stored spec, and the file does not have them.
    """
    try:
        recorded = _content(SpecContent.model_validate({**with_current_keys(content), "name": spec.name}))
    except ValidationError:  # a key was removed since; the difference is real, and somebody should look
        recorded = dict(content)
    if not spec.release.services:
        recorded["release"] = {**recorded.get("release", {}), "services": []}
    return recorded


def _differing(content: Any, before: Any, place: str = "") -> list[str]:
    if content == before:
        return []
    if not isinstance(content, dict) or not isinstance(before, dict):
        return [place]
    keys = [*content, *(key for key in before if key not in content)]
    return [
        key
        for name in keys
        for key in _differing(content.get(name), before.get(name), f"{place}.{name}" if place else name)
    ]
