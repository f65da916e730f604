"""What the history of releases says about former champions: which to go back to, which to keep. Pure."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from everfit.blocks.releasing import ReleasePolicy
from everfit.tasks.ledger.records import Release


def succession(releases: Sequence[Release]) -> list[Release]:
    """The releases that made the champions which are still good, the present one last.

    A rollback takes the champions that it passed over out of the line: going back once more goes further back, and
    not to the one that was just found wanting.

    Args:
        releases: All of a model, in any order.
    """
    line: list[Release] = []
    for entry in sorted(made_champion(releases), key=lambda entry: entry.seq):
        if entry.kind == "rollback":
            place = next((i for i, former in enumerate(line) if former.version == entry.version), len(line))
            line = line[:place]
        line = [former for former in line if former.version != entry.version] + [entry]
    return line


def versions_to_keep(releases: Sequence[Release], policy: ReleasePolicy, at: datetime) -> frozenset[int]:
    """The versions that must stay loadable.

    Those are the champion, what is being released, the last so many former champions, and those whose time ended not
    long ago.

    Args:
        releases: All of a model, in any order.
        policy: How many to keep, and for how long.
        at: The moment to judge by.
    """
    ordered = sorted(releases, key=lambda entry: entry.seq)
    made = made_champion(ordered)
    under_way = {entry.version for entry in ordered if entry.state == "intent"}
    newest_first = list(dict.fromkeys(entry.version for entry in reversed(made)))
    recent = newest_first[: policy.keep_versions + 1]
    ended = {entry.version for entry, after in pairwise(made) if at - after.at <= policy.keep_for}
    return frozenset(under_way | set(recent) | ended)


def made_champion(releases: Sequence[Release]) -> list[Release]:
    """The releases that did make a champion, also where the services have not confirmed it yet.

    Args:
        releases: All of a model, in any order.
    """
    return [entry for entry in releases if entry.state in {"alias_set", "verified"}]
