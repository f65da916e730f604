"""The errors of everfit: one class per case that a caller would handle.

A message says what happened, shows the value with `!r`, and says what to do next.
"""


class EverfitError(Exception):
    """Base of every error that everfit raises on purpose."""


class SpecError(EverfitError):
    """A model spec can't be read, has an unknown key, or contradicts itself."""


class ExtensionError(EverfitError):
    """A user's own function can't be loaded: not installed, misspelt, or not a function."""


class SourceError(EverfitError):
    """A source can't be reached, or its data doesn't match the spec."""


class DataError(EverfitError):
    """The data of a window can't be used: no rows, no labels, one class only."""


class NotEnoughError(DataError):
    """The data is too little for a result: too few rows, no labels, one class only. More of it would help."""


class MetricError(DataError):
    """A user's own metric can't be loaded, raises, or returns anything but a number in its range."""


class WorkspaceError(EverfitError):
    """The workspace can't be used: not writable, unknown scheme, broken table."""


class LedgerError(EverfitError):
    """The ledger refuses: an unknown turn, a release that lost a race, a newer schema."""


class BusyError(EverfitError):
    """Another turn of the same model is running."""


class TrainingError(EverfitError):
    """No candidate could be trained."""


class ModelError(EverfitError):
    """A model version is unknown, can't be loaded, or predicts wrongly."""


class ArtifactError(ModelError):
    """The files of a model version are not those that were recorded when it was registered; it is not loaded."""


class NoChampionError(ModelError):
    """A model has never had a champion."""


class DeploymentError(EverfitError):
    """A deployment file has a mistake, or the Prefect server can't be used."""


class WorkersError(EverfitError):
    """Raised when the workers of a Dask scheduler, or the scheduler itself, can't do the work."""
