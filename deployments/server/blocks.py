"""Block types, specs as stored blocks, and the variables that remember the last bootstrap."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from everfit.blocks.errors import DeploymentError
from everfit.blocks.spec import ModelSpec
from everfit.deployments.server import listing
from everfit.deployments.server.changes import Changes, Status
from everfit.deployments.server.variables import read_table, set_variable, write_table
from everfit.tasks.core.spec_loading import spec_problems
from everfit.tasks.incidents.default_receivers import ReceiversByProject

if TYPE_CHECKING:
    from prefect.blocks.core import Block
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import BlockDocument, BlockSchema

SPECS, NOTIFICATION, SERVICES = "everfit_specs", "everfit_notification", "everfit_services"
"""The variables: the time at which each spec was stored from its file, the notification block, the services."""
SCHEDULES = "everfit_schedules"
"""The variable with the schedules as bootstraps made them, by deployment and slug, to see what a person has edited."""


class Schedules:
    """The schedules as earlier bootstraps made them.

    Args:
        client: The client of the server.

    Attributes:
        content: By deployment and slug; a bootstrap changes it in place.
    """

    def __init__(self, client: "SyncPrefectClient") -> None:
        self._client = client
        found = read_table(client, SCHEDULES)
        self.content: dict[str, dict[str, Any]] = {name: dict(by_slug) for name, by_slug in found.items()}
        self._before = {name: dict(by_slug) for name, by_slug in self.content.items()}

    def store(self, changes: Changes) -> None:
        """Keep what this bootstrap made."""
        write_table(self._client, SCHEDULES, self._before, self.content, changes)

    def forget(self, model: str, changes: Changes) -> None:
        """Keep nothing of a model that is gone.

        Args:
            model: The name of the model.
            changes: The changes so far; this function adds its own.
        """
        self.content = {name: made for name, made in self.content.items() if name.partition("/")[2] != model}
        if self.content != self._before:
            self.store(changes)


def store_specs(
    client: "SyncPrefectClient",
    specs: Sequence[ModelSpec],
    changes: Changes,
    *,
    overwrite: bool,
    accept: Callable[[ModelSpec], object] = lambda _: None,
) -> None:
    """Store the specs as blocks. A spec that a person has edited since stays.

    Args:
        client: The client of the server.
        specs: The specs in the files.
        changes: The changes so far; this function adds its own.
        overwrite: Whether edited specs are overwritten too.
        accept: Function that raises if this person may not store a spec.
    """
    form = _register_types(client, changes)
    before: dict[str, str] = read_table(client, SPECS)
    after = dict(before)
    documents = listing.stored_blocks(client, ModelSpec.get_block_type_slug(), [spec.name for spec in specs])
    for spec in specs:
        document = documents.get(spec.name)
        untouched = document is not None and str(document.updated) == before.get(spec.name)
        may_overwrite = overwrite or untouched
        if document is None or may_overwrite or _is_stored(spec, document):
            accept(spec)
        if document is None:
            stored = _create(client, spec, form, changes)
        else:
            is_stored, written = _put(spec, document, changes, may_overwrite=may_overwrite)
            stored = None if not is_stored else _document(client, spec.name) if written else document
        if stored is not None:
            after[spec.name] = str(stored.updated)
    write_table(client, SPECS, before, after, changes)


def forget_spec(client: "SyncPrefectClient", model: str, changes: Changes) -> None:
    """Remove a spec that a bootstrap has stored. One that a person stored under the name stays.

    Args:
        client: The client of the server.
        model: The name of the model.
        changes: The changes so far; this function adds its own.
    """
    before: dict[str, str] = read_table(client, SPECS)
    if model not in before:
        return
    if (document := _document(client, model)) is not None:
        if not changes.dry_run:
            client.delete_block_document(document.id)
        changes.note("model spec", model, "removed", "its model is gone")
    write_table(client, SPECS, before, {name: at for name, at in before.items() if name != model}, changes)


def rename_spec(client: "SyncPrefectClient", old: str, new: str) -> None:
    """Store the spec of a model under its new name too, with the edits of people.

    Args:
        client: The client of the server.
        old: The name under which it is stored.
        new: The name to give.
    """
    document = _document(client, old)
    stored = None if document is None else _read(document)
    if document is None or not isinstance(stored, ModelSpec):
        return
    stored.model_copy(update={"name": new}).save(new, overwrite=True)
    before: dict[str, str] = read_table(client, SPECS)
    renamed = _document(client, new)
    if renamed is not None and before.get(old) == str(document.updated):  # nobody has edited it
        write_table(client, SPECS, before, before | {new: str(renamed.updated)}, Changes(dry_run=False))


def services(client: "SyncPrefectClient", project: str, named: Sequence[str], changes: Changes) -> tuple[str, ...]:
    """Return the prediction services of this or an earlier bootstrap of the project.

    Args:
        client: The client of the server.
        project: The name of the project. Others on the server have services of their own.
        named: The base URLs of this bootstrap.
        changes: The changes so far; this function adds its own.
    """
    variable = client.read_variable_by_name(SERVICES)
    stored = variable.value if variable else {}
    # Earlier versions stored one list, which is of the first project that is set up again.
    before: dict[str, Any] = dict(stored) if isinstance(stored, dict) else {project: stored}
    chosen = list(named) or before.get(project)
    if not chosen:
        return ()
    set_variable(client, SERVICES, stored, before | {project: chosen}, changes)
    return tuple(str(url) for url in chosen)


def notification(
    client: "SyncPrefectClient", project: str, models: Sequence[str], named: str | None, changes: Changes
) -> str | None:
    """Return the id of the notification block of this or an earlier bootstrap of the project.

    Args:
        client: The client of the server.
        project: The name of the project. Others on the server have a block of their own.
        models: The names of the project's models.
        named: The block as `type/name`, such as `slack-webhook/on-call`.
        changes: The changes so far; this function adds its own.

    Raises:
        DeploymentError: There is no such block.
    """
    from prefect.exceptions import ObjectNotFound

    variable = client.read_variable_by_name(NOTIFICATION)
    stored = None if variable is None else variable.value
    before = ReceiversByProject.read(stored, project)
    chosen = named or before.blocks.get(project)
    if chosen is None:
        return None
    kind, slash, name = chosen.partition("/")
    try:
        if not slash:
            raise ObjectNotFound(ValueError(chosen))
        document = client.read_block_document_by_name(name, kind, include_secrets=False)
    except ObjectNotFound as error:
        raise DeploymentError(
            f"there is no notification block {chosen!r}; create it in Prefect and give it as TYPE/NAME, such as "
            f"slack-webhook/on-call"
        ) from error
    after = before.with_project(project, chosen, models)
    set_variable(client, NOTIFICATION, stored, after.content(), changes)
    return str(document.id)


def _register_types(client: "SyncPrefectClient", changes: Changes) -> "BlockSchema | None":
    """Register everfit's types of blocks, and return the form of specs; None in a dry run before it is there."""
    from everfit.blocks import NotificationAddress

    _register_type(client, NotificationAddress, changes)
    return _register_type(client, ModelSpec, changes)


def _register_type(client: "SyncPrefectClient", block: "type[Block]", changes: Changes) -> "BlockSchema | None":
    from prefect.exceptions import ObjectNotFound

    slug, checksum = block.get_block_type_slug(), block._calculate_schema_checksum()  # noqa: SLF001 - no other way
    try:
        client.read_block_type_by_slug(slug)
        exists = True
    except ObjectNotFound:
        exists = False
    form = None
    if exists:
        with suppress(ObjectNotFound):
            form = client.read_block_schema_by_checksum(checksum)
    changes.note("block type", slug, "changed" if exists and form is None else "unchanged" if exists else "created")
    if form is None and not changes.dry_run:
        block.register_type_and_schema()
        form = client.read_block_schema_by_checksum(checksum)
    return form


def _create(
    client: "SyncPrefectClient", spec: ModelSpec, form: "BlockSchema | None", changes: Changes
) -> "BlockDocument | None":
    """Store a spec that is not there yet, by the client that is open; None in a dry run."""
    changes.note("model spec", spec.name, "created")
    if changes.dry_run or form is None:
        return None
    from prefect.client.schemas.actions import BlockDocumentCreate

    made = spec._to_block_document(  # noqa: SLF001 - `save` opens a client and registers the type for each block
        name=spec.name, block_schema_id=form.id, block_type_id=form.block_type_id, include_secrets=True
    )
    given = {"name", "data", "block_schema_id", "block_type_id", "is_anonymous"}
    return client.create_block_document(BlockDocumentCreate(**made.model_dump(include=given)))


def _put(spec: ModelSpec, document: "BlockDocument", changes: Changes, *, may_overwrite: bool) -> tuple[bool, bool]:
    """Store the spec of a file, unless a person has edited the stored one.

    Returns:
        Whether the stored spec equals the file, and whether the block was written.
    """
    stored = _read(document)
    if isinstance(stored, ModelSpec) and _is_stored(spec, document):
        changes.note("model spec", spec.name, "unchanged")
        return True, _bring_form_up_to_date(stored, document, changes)
    if may_overwrite:
        differs = _differing_keys(spec, stored) if isinstance(stored, ModelSpec) else "the stored spec can't be read"
        _store(spec, changes, "changed", differs)
        return True, True
    if not isinstance(stored, ModelSpec):
        raise DeploymentError(
            f"the stored spec {spec.name!r} can't be read: {_problem(stored)}; edit it in Prefect, or overwrite it "
            f"with the file by --overwrite-specs"
        )
    differs = _differing_keys(spec, stored)
    changes.note("model spec", spec.name, "kept", f"edited on the server ({differs}); --overwrite-specs")
    return False, _bring_form_up_to_date(stored, document, changes)


def _is_stored(spec: ModelSpec, document: "BlockDocument") -> bool:
    stored = _read(document)
    return isinstance(stored, ModelSpec) and stored.digest() == spec.digest()


@cache
def _form_checksum() -> str:
    return str(ModelSpec._calculate_schema_checksum())  # noqa: SLF001 - no other way


def _bring_form_up_to_date(stored: ModelSpec, document: "BlockDocument", changes: Changes) -> bool:
    """Give a block of an earlier everfit the form of this version. Its values stay. Return whether it was written."""
    schema = document.block_schema
    if schema is not None and schema.checksum == _form_checksum():
        return False
    if not changes.dry_run:
        stored.save(stored.name, overwrite=True)
    changes.note("spec form", stored.name, "changed", "it was from an earlier version; the values stay")
    return True


def _document(client: "SyncPrefectClient", name: str) -> "BlockDocument | None":
    """Return the stored block with the time of its last change and its form."""
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_block_document_by_name(name, ModelSpec.get_block_type_slug())
    except ObjectNotFound:
        return None


def _read(document: "BlockDocument") -> ModelSpec | ValueError:
    """Return the spec in a stored block, or the error if it can't be read."""
    try:
        return ModelSpec._from_block_document(document)  # noqa: SLF001 - `load` would warn about another form
    except ValueError as error:
        return error


def _problem(error: ValueError) -> str:
    """Return the reason why a stored spec can't be read, with the new name of a renamed key."""
    return spec_problems(error) if isinstance(error, ValidationError) else " ".join(str(error).split())


def _store(spec: ModelSpec, changes: Changes, status: Status, reason: str = "") -> None:
    if not changes.dry_run:
        spec.save(spec.name, overwrite=True)
    changes.note("model spec", spec.name, status, reason)


def _differing_keys(spec: ModelSpec, stored: ModelSpec) -> str:
    ours, theirs = spec.content(), stored.content()
    return ", ".join(sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)))
