"""The ledger: what was run, decided and released, and who may do so at the moment."""

from everfit.tasks.ledger.entries import Decision, Lease, Release, Turn, TurnStory
from everfit.tasks.ledger.leases import HeldLease, LeaseHeldError
from everfit.tasks.ledger.ledger import Ledger

__all__ = ["Decision", "HeldLease", "Lease", "LeaseHeldError", "Ledger", "Release", "Turn", "TurnStory"]
