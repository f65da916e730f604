"""Block types, the specs as stored blocks, and the variables that remember what was stored."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import DeploymentError
from everfit.blocks.spec import ModelSpec
from everfit.deployments.server.changes import Changes, Status

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import BlockDocument

SPECS, NOTIFICATION, SERVICES = "everfit_specs", "everfit_notification", "everfit_services"
"""Names of the variables: when each spec was stored from its file, and what was last said of the other two."""


def store_specs(client: "SyncPrefectClient", specs: Sequence[ModelSpec], changes: Changes, *, overwrite: bool) -> None:
    """Store the specs as blocks; one that a person has edited since stays as it is.

    Args:
        client: Of the server.
        specs: As the files have them.
        changes: The actions are added to it.
        overwrite: Take the files' all the same.
    """
    _register_type(client, changes)
    variable = client.read_variable_by_name(SPECS)
    before: dict[str, str] = dict(variable.value) if variable and isinstance(variable.value, dict) else {}
    after = dict(before)
    for spec in specs:
        document = _document(client, spec.name)
        untouched = document is not None and str(document.updated) == before.get(spec.name)
        if _put(spec, document, changes, may_overwrite=overwrite or untouched) and (
            now := _document(client, spec.name)
        ):
            after[spec.name] = str(now.updated)
    _set_variable(client, SPECS, before, after, changes)


def services(client: "SyncPrefectClient", named: Sequence[str], changes: Changes) -> tuple[str, ...]:
    """The prediction services that were named, now or earlier.

    Args:
        client: Of the server.
        named: Base URLs.
        changes: The actions are added to it.
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
        changes: The actions are added to it.

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
    changes.note("block type", slug, "unchanged" if known else "changed" if there else "created")


def _put(spec: ModelSpec, document: "BlockDocument | None", changes: Changes, *, may_overwrite: bool) -> bool:
    """Store a spec as its file has it, or leave what a person has made of it.

    Returns:
        Whether the stored one is the file's.
    """
    if document is None:
        _store(spec, changes, "created")
        return True
    stored = _read(document)
    if isinstance(stored, ModelSpec) and stored.digest() == spec.digest():
        changes.note("model spec", spec.name, "unchanged")
        _bring_form_up_to_date(stored, document, changes)
        return True
    if may_overwrite:
        differs = _what_differs(spec, stored) if isinstance(stored, ModelSpec) else "the stored one can't be read"
        _store(spec, changes, "changed", differs)
        return True
    if not isinstance(stored, ModelSpec):
        told = " ".join(str(stored).split())
        raise DeploymentError(
            f"the stored spec {spec.name!r} can't be read: {told}; correct it in Prefect, or take the file's by "
            f"--overwrite-specs"
        )
    differs = _what_differs(spec, stored)
    changes.note("model spec", spec.name, "kept", f"edited on the server ({differs}); --overwrite-specs")
    _bring_form_up_to_date(stored, document, changes)
    return False


def _bring_form_up_to_date(stored: ModelSpec, document: "BlockDocument", changes: Changes) -> None:
    """Let a block that an earlier everfit has stored be edited in the form of this one; its values stay."""
    schema = document.block_schema
    if schema is not None and schema.checksum == ModelSpec._calculate_schema_checksum():  # noqa: SLF001 - as above
        return
    if not changes.dry_run:
        stored.save(stored.name, overwrite=True)
    changes.note("spec form", stored.name, "changed", "it was an earlier everfit's; the values stay")


def _document(client: "SyncPrefectClient", name: str) -> "BlockDocument | None":
    """The stored block, which says when it was last changed, by whomever, and by which form."""
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_block_document_by_name(name, ModelSpec.get_block_type_slug())
    except ObjectNotFound:
        return None


def _read(document: "BlockDocument") -> ModelSpec | ValueError:
    """The spec in a stored block, or why this everfit can't read it."""
    try:
        return ModelSpec._from_block_document(document)  # noqa: SLF001 - `load` warns of each form that is another
    except ValueError as error:
        return error


def _store(spec: ModelSpec, changes: Changes, status: Status, reason: str = "") -> None:
    if not changes.dry_run:
        spec.save(spec.name, overwrite=True)
    changes.note("model spec", spec.name, status, reason)


def _what_differs(spec: ModelSpec, stored: ModelSpec) -> str:
    ours, theirs = spec.content(), stored.content()
    return ", ".join(sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)))


def _set_variable(client: "SyncPrefectClient", name: str, before: Any, after: Any, changes: Changes) -> None:
    from prefect.client.schemas.actions import VariableCreate, VariableUpdate

    if before == after and before is not None and before != {}:
        changes.note("variable", name, "unchanged")
        return
    there = client.read_variable_by_name(name) is not None
    if not changes.dry_run:
        if there:
            client.update_variable(VariableUpdate(name=name, value=after))
        else:
            client.create_variable(VariableCreate(name=name, value=after, tags=["everfit"]))
    changes.note("variable", name, "changed" if there else "created")
