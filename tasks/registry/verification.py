"""Verify the files of all versions of a model against the ledger, and record those that have no record."""

from typing import TYPE_CHECKING, Literal

from everfit.blocks.errors import ArtifactError, EverfitError
from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion, Record
from everfit.tasks.ledger import Ledger
from everfit.tasks.models.artifacts import differences, needed_to_predict, overall_digest
from everfit.tasks.models.signatures import SIGNATURE_TAG, trusted_signers, version_message, why_not_signed
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.artifact_records import publish, read_copy, read_digests, read_tag, record_artifacts
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient


State = Literal["verified", "not recorded", "changed", "unpublished", "contradicted", "unsigned", "unreadable"]

MISFITS: frozenset[State] = frozenset({"changed", "contradicted", "unsigned", "unreadable"})
"""The states of versions that don't fit."""


class VerifiedVersion(Record):
    """The state of a version's files.

    Attributes:
        state: `verified`, `not recorded`, `changed` (the files differ from the record), `unpublished` (the files are
            right, and the workspace's copy of the digests or the version's tag is missing), `contradicted` (the copy or
            the tag says something else), `unsigned` (no trusted key has signed them), or `unreadable`.
        recorded: The recorded digest, as the version's tag has it; empty without a record.
        problems: The differences, in words.
    """

    model: str
    version: int
    state: State
    recorded: str = ""
    problems: tuple[str, ...] = ()


def verify_versions(client: "MlflowClient", ledger: Ledger, workspace: Workspace, model: str) -> list[VerifiedVersion]:
    """Compare the files of each version with the ledger's record, and the record with its copies.

    Args:
        client: Client of the registry.
        ledger: The ledger; it records a version whose files differ.
        workspace: The workspace.
        model: Name of the model.
    """
    return [
        _verify(client, ledger, workspace, model_registry.model_version(client, model, number))
        for number in model_registry.versions(client, model)
    ]


def record_versions(
    client: "MlflowClient", ledger: Ledger, workspace: Workspace, model: str, *, actor: str, reason: str
) -> list[int]:
    """Record the files of the versions that have no record, and write records whose copies differ again.

    A version whose files differ from its record keeps the record.

    Args:
        client: Client of the registry.
        ledger: The ledger.
        workspace: The workspace.
        model: Name of the model.
        actor: Name of the person who says that the files are right.
        reason: Why.

    Returns:
        The versions that were recorded or written again.
    """
    done = []
    for verified in verify_versions(client, ledger, workspace, model):
        version = model_registry.model_version(client, model, verified.version)
        if verified.state == "not recorded":
            record_artifacts(client, ledger, workspace, version, actor=actor, reason=reason)
            done.append(verified.version)
        elif verified.state in {"unpublished", "contradicted", "unsigned"}:
            recorded = ledger.artifacts.find(version)
            assert recorded is not None  # noqa: S101 - only a recorded version is unpublished
            publish(client, workspace, version, recorded.files)
            done.append(verified.version)
    return done


def _verify(client: "MlflowClient", ledger: Ledger, workspace: Workspace, version: ModelVersion) -> VerifiedVersion:
    recorded = ledger.artifacts.find(version)
    if recorded is None:
        return VerifiedVersion(model=version.model, version=version.version, state="not recorded")
    digest = overall_digest(recorded.files)
    facts = {"model": version.model, "version": version.version, "recorded": digest}
    try:
        digests = read_digests(client, version)
        ledger.artifacts.check(version, needed_to_predict(digests))
        described = {name: digests[name] for name in recorded.files if name in digests}
        if problems := differences(described, recorded.files):
            ledger.artifacts.check_some(version, described)
            return VerifiedVersion(**facts, state="changed", problems=tuple(problems))
    except ArtifactError as error:
        return VerifiedVersion(**facts, state="changed", problems=(str(error),))
    except EverfitError as error:
        return VerifiedVersion(**facts, state="unreadable", problems=(str(error),))
    except Exception as error:  # noqa: BLE001 - of the store
        return VerifiedVersion(**facts, state="unreadable", problems=(f"{type(error).__name__}: {error}",))
    missing, contradicting = _published(client, workspace, version, recorded.files)
    signers = trusted_signers(Settings(), ledger.signers)
    tags = model_registry.version_tags(client, version.model, version.version)
    unsigned = why_not_signed(tags.get(SIGNATURE_TAG), version_message(version, digests), signers)
    problems = [*contradicting, *missing]
    if unsigned:
        problems.append(f"version {version.version} is not signed as it must be: {unsigned}")
    state: State = "verified"
    if problems:
        state = "unsigned" if unsigned else "contradicted" if contradicting else "unpublished"
    return VerifiedVersion(**facts, state=state, problems=tuple(problems))


def _published(
    client: "MlflowClient", workspace: Workspace, version: ModelVersion, files: dict[str, str]
) -> tuple[list[str], list[str]]:
    """Return which of the record's copies are missing, and which say something else."""
    missing, contradicting = [], []
    of = f"of version {version.version}"
    if (tag := read_tag(client, version)) is None:
        missing.append(f"the tag {of} is missing")
    elif tag != overall_digest(files):
        contradicting.append(f"the tag {of} is {tag!r}, and {overall_digest(files)!r} was recorded")
    try:
        copy = read_copy(workspace, version)
    except ArtifactError as error:
        return missing, [*contradicting, str(error)]
    if copy is None:
        missing.append(f"the workspace has no copy of the digests {of}")
    else:
        differs = differences(copy, needed_to_predict(files))
        contradicting += [f"the workspace's copy of the digests {of} differs: {problem}" for problem in differs]
    return missing, contradicting
