"""The ledger: the SQL record of turns, decisions, releases, the files of versions, incidents, and leases."""

from everfit.tasks.ledger.leases import HeldLease, LeaseHeldError
from everfit.tasks.ledger.ledger import Ledger
from everfit.tasks.ledger.records import Decision, Incident, Lease, Release, Turn, TurnStory

__all__ = ["Decision", "HeldLease", "Incident", "Lease", "LeaseHeldError", "Ledger", "Release", "Turn", "TurnStory"]
