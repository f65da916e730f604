"""The ledger: the SQL record of turns, decisions, releases, the files of versions, and leases."""

from everfit.tasks.ledger.leases import HeldLease, LeaseHeldError
from everfit.tasks.ledger.ledger import Ledger
from everfit.tasks.ledger.records import Decision, Lease, Release, Turn, TurnStory

__all__ = ["Decision", "HeldLease", "Lease", "LeaseHeldError", "Ledger", "Release", "Turn", "TurnStory"]
