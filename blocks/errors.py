"""What can go wrong, as a caller would handle it.

A message says what happened, shows the value with `!r`, and says what to do next.
"""


class EverfitError(Exception):
    """Base of every error that everfit raises on purpose."""


class SpecError(EverfitError):
    """A model spec can't be read, has an unknown key, or asks for the impossible."""


class ExtensionError(EverfitError):
    """A user's own function can't be loaded: not installed, misspelt, or not a function."""


class SourceError(EverfitError):
    """A source can't be reached or doesn't give what the spec says it should."""


class DataError(EverfitError):
    """The data of a window can't be used as it is: no rows, no labels, one class only."""


class NotEnoughError(DataError):
    """There is too little to say anything: too few rows, no labels, one class only. More of the same would do."""


class WorkspaceError(EverfitError):
    """The workspace can't be used: not writable, unknown scheme, broken table."""


class LedgerError(EverfitError):
    """The ledger refuses: unknown turn, a release that lost the race, a schema too new."""


class BusyError(EverfitError):
    """Another turn of the same model is running."""


class TrainingError(EverfitError):
    """No candidate could be trained."""


class ModelError(EverfitError):
    """A model version is unknown, can't be loaded, or doesn't answer as it should."""


class NoChampionError(ModelError):
    """A model has never had a champion."""


class DeploymentError(EverfitError):
    """What is to be put on a Prefect server, or the server itself, isn't as it must be."""
