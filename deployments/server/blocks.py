"""Block types, the specs as stored blocks, and the variables that remember what was stored."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import DeploymentError
from everfit.blocks.spec import ModelSpec
from everfit.deployments.server.changes import Changes, What

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

SPECS, NOTIFICATION, SERVICES = "everfit_specs", "everfit_notification", "everfit_services"
"""Names of the variables: when each spec was stored from its file, and what was last said of the other two."""


def store_specs(client: "SyncPrefectClient", specs: Sequence[ModelSpec], changes: Changes, *, overwrite: bool) -> None:
    """Store the specs as blocks; one that a person has edited since stays as it is.

    Args:
        client: Of the server.
        specs: As the files have them.
        changes: What is done is noted there.
        overwrite: Take the files' all the same.
    """
    _register_type(client, changes)
    variable = client.read_variable_by_name(SPECS)
    before: dict[str, str] = dict(variable.value) if variable and isinstance(variable.value, dict) else {}
    after = dict(before)
    for spec in specs:
        stored, since = _stored(spec.name), _changed_at(client, spec.name)
        if stored is None:
            _store(spec, changes, "created")
        elif stored.digest() == spec.digest():
            changes.note("model spec", spec.name, "left")
        elif overwrite or since == before.get(spec.name):
            _store(spec, changes, "changed", _what_differs(spec, stored))
        else:
            differs = _what_differs(spec, stored)
            changes.note("model spec", spec.name, "kept", f"edited on the server ({differs}); --overwrite-specs")
            continue
        if now := _changed_at(client, spec.name):
            after[spec.name] = now
    _set_variable(client, SPECS, before, after, changes)


def services(client: "SyncPrefectClient", named: Sequence[str], changes: Changes) -> tuple[str, ...]:
    """The prediction services that were named, now or earlier.

    Args:
        client: Of the server.
        named: Base URLs.
        changes: What is done is noted there.
    """
    variable = client.read_variable_by_name(SERVICES)
    before = list(variable.value) if variable and isinstance(variable.value, list) else None
    chosen = list(named) or before
    if chosen is None:
        return ()
    _set_variable(client, SERVICES, before, chosen, changes)
    return tuple(str(each) for each in chosen)


def notification(client: "SyncPrefectClient", named: str | None, changes: Changes) -> str | None:
    """The id of the notification block that was named, now or earlier.

    Args:
        client: Of the server.
        named: `type/name`, such as `slack-webhook/on-call`.
        changes: What is done is noted there.

    Raises:
        DeploymentError: there is no such block.
    """
    from prefect.exceptions import ObjectNotFound

    variable = client.read_variable_by_name(NOTIFICATION)
    before = None if variable is None else str(variable.value)
    chosen = named or before
    if chosen is None:
        return None
    kind, slash, name = chosen.partition("/")
    try:
        if not slash:
            raise ObjectNotFound(ValueError(chosen))
        found = client.read_block_document_by_name(name, kind, include_secrets=False)
    except ObjectNotFound as error:
        raise DeploymentError(
            f"there is no notification block {chosen!r}; make it in Prefect and name it as TYPE/NAME, such as "
            f"slack-webhook/on-call"
        ) from error
    _set_variable(client, NOTIFICATION, before, chosen, changes)
    return str(found.id)


def _register_type(client: "SyncPrefectClient", changes: Changes) -> None:
    from prefect.exceptions import ObjectNotFound

    slug = ModelSpec.get_block_type_slug()
    try:
        client.read_block_type_by_slug(slug)
        there = True
    except ObjectNotFound:
        there = False
    known = there
    if there:
        try:
            client.read_block_schema_by_checksum(ModelSpec._calculate_schema_checksum())  # noqa: SLF001 - no other way
        except ObjectNotFound:
            known = False
    if not known and not changes.dry_run:
        ModelSpec.register_type_and_schema()
    changes.note("block type", slug, "left" if known else "changed" if there else "created")


def _stored(name: str) -> ModelSpec | None:
    try:
        found = ModelSpec.load(name)
    except ValueError as error:
        if "Unable to find block document" in str(error):
            return None
        raise DeploymentError(f"the stored spec {name!r} can't be read: {error}; mend it in Prefect") from error
    assert isinstance(found, ModelSpec)  # noqa: S101 - `load` is annotated for sync and async use alike
    return found


def _store(spec: ModelSpec, changes: Changes, what: What, why: str = "") -> None:
    if not changes.dry_run:
        spec.save(spec.name, overwrite=True)
    changes.note("model spec", spec.name, what, why)


def _changed_at(client: "SyncPrefectClient", name: str) -> str | None:
    """When the stored block was last changed, by whomever; a later everfit may read the same content otherwise."""
    from prefect.exceptions import ObjectNotFound

    try:
        found = client.read_block_document_by_name(name, ModelSpec.get_block_type_slug(), include_secrets=False)
    except ObjectNotFound:
        return None
    return str(found.updated)


def _what_differs(spec: ModelSpec, stored: ModelSpec) -> str:
    ours, theirs = spec.content(), stored.content()
    return ", ".join(sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)))


def _set_variable(client: "SyncPrefectClient", name: str, before: Any, after: Any, changes: Changes) -> None:
    from prefect.client.schemas.actions import VariableCreate, VariableUpdate

    if before == after and before is not None and before != {}:
        changes.note("variable", name, "left")
        return
    there = client.read_variable_by_name(name) is not None
    if not changes.dry_run:
        if there:
            client.update_variable(VariableUpdate(name=name, value=after))
        else:
            client.create_variable(VariableCreate(name=name, value=after, tags=["everfit"]))
    changes.note("variable", name, "changed" if there else "created")
