"""The digests of the files of registered versions, against which every load is checked."""

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select

from everfit.blocks.errors import ArtifactError, LedgerError
from everfit.tasks.core.records import ModelVersion, Record
from everfit.tasks.ledger.chain import insert_row
from everfit.tasks.ledger.decisions import Decisions
from everfit.tasks.ledger.records import RecordedArtifacts
from everfit.tasks.ledger.schema import artifacts
from everfit.tasks.ledger.store import Store
from everfit.tasks.models.artifacts import Digests, changed_files_error, differences, needed_to_predict

INCIDENT = "artifacts"
"""Kind of the decision that records a refused version."""


class ChangedFiles(Record):
    """The evidence of a refusal: the files that differ, in words."""

    version: int
    run_id: str
    problems: tuple[str, ...]


class Artifacts:
    """The recorded files of the ledger.

    Args:
        store: The ledger's database.
        decisions: Where a refusal is recorded.
    """

    def __init__(self, store: Store, decisions: Decisions) -> None:
        self._store, self._decisions = store, decisions

    def record(self, version: ModelVersion, files: Digests, *, actor: str, reason: str) -> RecordedArtifacts:
        """Record the files of a version; safe to repeat.

        Args:
            version: The version.
            files: Digests of all its files.
            actor: Name of the person or part of everfit that records them.
            reason: Why they are recorded.

        Raises:
            LedgerError: Other files were recorded for the version before.
        """

        def write(connection: Connection) -> RecordedArtifacts:
            known = _newest(connection, version)
            if known is None:
                return self._add(connection, version, 1, files, actor, reason)
            if problems := differences(files, known.files):
                raise LedgerError(
                    f"the files of version {version.version} of {version.model!r} were recorded at "
                    f"{known.at:%Y-%m-%d %H:%M} UTC and now differ: {problems[0]}; check with "
                    f"`everfit verify {version.model}`"
                )
            return known

        return self._store.write_again(version.model, write)

    def amend(self, version: ModelVersion, files: Digests, *, actor: str, reason: str) -> RecordedArtifacts:
        """Record that files of a version were changed on purpose; earlier records are kept.

        Args:
            version: A version whose files are recorded.
            files: New digests of the changed files.
            actor: Name of the person who has them changed.
            reason: Why they change.

        Raises:
            LedgerError: The version's files are not recorded.
        """
        with self._store.write(version.model) as connection:
            known = _newest(connection, version)
            if known is None:
                raise LedgerError(f"the files of version {version.version} of {version.model!r} are not recorded")
            return self._add(connection, version, known.seq + 1, {**known.files, **files}, actor, reason)

    def find(self, version: ModelVersion) -> RecordedArtifacts | None:
        """Return the newest record of a version's files, or None for a version that is older than such records."""
        with self._store.read() as connection:
            return _newest(connection, version)

    def history(self, version: ModelVersion) -> list[RecordedArtifacts]:
        """Return all records of a version's files, the oldest first."""
        with self._store.read() as connection:
            return [_recorded(row) for row in connection.execute(_of(version).order_by(artifacts.c.seq)).mappings()]

    def versions(self, model: str) -> set[int]:
        """Return the versions of a model whose files were ever recorded."""
        with self._store.read() as connection:
            query = select(artifacts.c.version).where(artifacts.c.model == model).distinct()
            return set(connection.execute(query).scalars())

    def check(self, version: ModelVersion, digests: Digests) -> RecordedArtifacts | None:
        """Refuse a version whose files are not those that were recorded, and record the refusal.

        Args:
            version: The version that is to be loaded.
            digests: Digests of all files that it predicts with.

        Returns:
            The record; None if the version has none, so that nothing could be checked.

        Raises:
            ArtifactError: A file differs, is missing, or was added.
        """
        known = self.find(version)
        if known is not None:
            self._refuse(version, differences(digests, needed_to_predict(known.files)))
        return known

    def check_some(self, version: ModelVersion, digests: Digests) -> None:
        """Refuse single files of a version that are not those that were recorded, and record the refusal.

        Args:
            version: The version.
            digests: Digests of the files that are to be read. A file that was never recorded is refused too.

        Raises:
            ArtifactError: A file differs, or is not recorded although the version is.
        """
        known = self.find(version)
        if known is not None:
            self._refuse(
                version, differences(digests, {name: known.files[name] for name in digests if name in known.files})
            )

    def _refuse(self, version: ModelVersion, problems: Sequence[str]) -> None:
        if not problems:
            return
        identity = hashlib.sha256("\n".join(problems).encode()).hexdigest()[:16]
        reason = changed_files_error(version.model, version.version, problems)
        self._decisions.record(
            f"{version.model}/artifacts/{version.version}/{identity}",
            model=version.model,
            kind=INCIDENT,
            verdict="refused",
            reasons=[reason],
            record=ChangedFiles(version=version.version, run_id=version.run_id, problems=tuple(problems)),
        )
        raise ArtifactError(reason)

    def _add(  # noqa: PLR0917 - the columns of a row
        self, connection: Connection, version: ModelVersion, seq: int, files: Digests, actor: str, reason: str
    ) -> RecordedArtifacts:
        row = RecordedArtifacts(
            model=version.model,
            version=version.version,
            run_id=version.run_id,
            seq=seq,
            files=dict(files),
            reason=reason,
            actor=actor,
            at=self._store.now(connection),
        )
        insert_row(connection, artifacts, row.model_dump())
        return row


def _of(version: ModelVersion) -> Select[Any]:
    return select(artifacts).where(
        artifacts.c.model == version.model,
        artifacts.c.version == version.version,
        artifacts.c.run_id == version.run_id,
    )


def _newest(connection: Connection, version: ModelVersion) -> RecordedArtifacts | None:
    row = connection.execute(_of(version).order_by(artifacts.c.seq.desc()).limit(1)).mappings().first()
    return None if row is None else _recorded(row)


def _recorded(row: RowMapping) -> RecordedArtifacts:
    return RecordedArtifacts.recall(dict(row))
