"""Former champions in the history of releases: which to roll back to and which to keep. Pure."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from everfit.blocks.releasing import ReleasePolicy
from everfit.tasks.ledger.records import Release


def succession(releases: Sequence[Release]) -> list[Release]:
    """Return the releases of the champions that may be rolled back to, the present one last.

    A rollback removes the champions that it skips, so that the next rollback goes further back and not to the champion
    that was just rolled back.

    Args:
        releases: All releases of a model, in any order.
    """
    line: list[Release] = []
    for entry in sorted(made_champion(releases), key=lambda entry: entry.seq):
        if entry.kind == "rollback":
            place = next((i for i, former in enumerate(line) if former.version == entry.version), len(line))
            line = line[:place]
        line = [former for former in line if former.version != entry.version] + [entry]
    return line


def versions_to_keep(releases: Sequence[Release], policy: ReleasePolicy, at: datetime) -> frozenset[int]:
    """Return the versions that must stay loadable.

    These are the champion, a version that is being released, the last few former champions, those that were
    replaced recently, and the very first, by which is measured what the loop has been worth.

    Args:
        releases: All releases of a model, in any order.
        policy: How many to keep, and for how long.
        at: The present.
    """
    ordered = sorted(releases, key=lambda entry: entry.seq)
    champions = made_champion(ordered)
    under_way = {entry.version for entry in ordered if entry.state == "intent"}
    newest_first = list(dict.fromkeys(entry.version for entry in reversed(champions)))
    recent = newest_first[: policy.keep_versions + 1]
    ended = {entry.version for entry, after in pairwise(champions) if at - after.at <= policy.keep_for}
    first = {entry.version for entry in champions[:1]}
    return frozenset(under_way | set(recent) | ended | first)


def made_champion(releases: Sequence[Release]) -> list[Release]:
    """Return the releases that made a champion, also those that the services have not confirmed yet.

    Args:
        releases: All releases of a model, in any order.
    """
    return [entry for entry in releases if entry.state in {"alias_set", "verified"}]
