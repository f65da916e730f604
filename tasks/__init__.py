"""The steps of the loop as Prefect tasks, and the records that they take and return.

    from everfit.tasks import ingest, open_turn, validate

Compose flows of your own from them: docs/own-flows.md shows how. Each can be called, mapped, submitted, retried and
changed by `.with_options(...)` as any task. A name is imported when it is first used, so that this package stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from everfit.tasks.batch.label_collection import CollectedLabels
    from everfit.tasks.batch.scoring import ScoringResult
    from everfit.tasks.core.records import ModelVersion, Record, Snapshot, Trigger, Window
    from everfit.tasks.data.split import Split, TrainingData
    from everfit.tasks.data.staged_batch import Batch
    from everfit.tasks.data.validate import Validation
    from everfit.tasks.evaluation.conversion import Conversion
    from everfit.tasks.gate.decision import GateDecision
    from everfit.tasks.gate.evidence import Check, Evidence
    from everfit.tasks.ledger.records import Decision, Release, Turn
    from everfit.tasks.ledger.requests import RequestOutcome
    from everfit.tasks.monitoring.monitored_model import MonitoredModel
    from everfit.tasks.monitoring.monitored_window import MonitoredWindow
    from everfit.tasks.monitoring.signals.own_signals import SignalResult, WindowEvidence
    from everfit.tasks.statistics.own_metrics import own_metric
    from everfit.tasks.steps.actions import notify
    from everfit.tasks.steps.context import open_context
    from everfit.tasks.steps.evidence import measure_drift, measure_quality, measure_signals
    from everfit.tasks.steps.gate import apply_gate, check_serving, evaluate, preview_gate
    from everfit.tasks.steps.ingestion import (
        already_trained,
        commit,
        ingest,
        longer_holdout,
        split,
        take_snapshot,
        training_data,
        transform_rows,
        validate,
    )
    from everfit.tasks.steps.labels import collect_labels
    from everfit.tasks.steps.learning import convert, fit, refit, register, try_candidates
    from everfit.tasks.steps.open_turn import OpenTurn
    from everfit.tasks.steps.release import reconcile, roll_back
    from everfit.tasks.steps.requests import request_turn
    from everfit.tasks.steps.scoring import read_predictions, score
    from everfit.tasks.steps.triage import decide_window, open_window_run
    from everfit.tasks.steps.turns import open_turn, release_challenger, track
    from everfit.tasks.steps.window import find_champion, read_window
    from everfit.tasks.training.results import CandidateResult, Fitted
    from everfit.tasks.triage.decision import TriageDecision
    from everfit.tasks.triage.signals import Signals
    from everfit.tasks.turns.context import Context
    from everfit.tasks.turns.turn_record import TurnRecord

_MODULES = {
    "everfit.tasks.batch.label_collection": ("CollectedLabels",),
    "everfit.tasks.batch.scoring": ("ScoringResult",),
    "everfit.tasks.core.records": (
        "ModelVersion",
        "Record",
        "Snapshot",
        "Trigger",
        "Window",
    ),
    "everfit.tasks.data.ingest": ("Batch",),
    "everfit.tasks.data.split": (
        "Split",
        "TrainingData",
    ),
    "everfit.tasks.data.validate": ("Validation",),
    "everfit.tasks.evaluation.conversion": ("Conversion",),
    "everfit.tasks.gate.decision": ("GateDecision",),
    "everfit.tasks.gate.evidence": (
        "Check",
        "Evidence",
    ),
    "everfit.tasks.ledger.records": (
        "Decision",
        "Release",
        "Turn",
    ),
    "everfit.tasks.ledger.requests": ("RequestOutcome",),
    "everfit.tasks.monitoring.monitored_model": ("MonitoredModel",),
    "everfit.tasks.monitoring.monitored_window": ("MonitoredWindow",),
    "everfit.tasks.monitoring.signals.own_signals": (
        "SignalResult",
        "WindowEvidence",
    ),
    "everfit.tasks.statistics.own_metrics": ("own_metric",),
    "everfit.tasks.steps.actions": ("notify",),
    "everfit.tasks.steps.context": ("open_context",),
    "everfit.tasks.steps.evidence": (
        "measure_drift",
        "measure_quality",
        "measure_signals",
    ),
    "everfit.tasks.steps.gate": (
        "apply_gate",
        "check_serving",
        "evaluate",
        "preview_gate",
    ),
    "everfit.tasks.steps.ingestion": (
        "already_trained",
        "commit",
        "ingest",
        "longer_holdout",
        "split",
        "take_snapshot",
        "training_data",
        "transform_rows",
        "validate",
    ),
    "everfit.tasks.steps.labels": ("collect_labels",),
    "everfit.tasks.steps.learning": (
        "convert",
        "fit",
        "refit",
        "register",
        "try_candidates",
    ),
    "everfit.tasks.steps.open_turn": ("OpenTurn",),
    "everfit.tasks.steps.release": (
        "reconcile",
        "roll_back",
    ),
    "everfit.tasks.steps.requests": ("request_turn",),
    "everfit.tasks.steps.scoring": (
        "read_predictions",
        "score",
    ),
    "everfit.tasks.steps.triage": (
        "decide_window",
        "open_window_run",
    ),
    "everfit.tasks.steps.turns": (
        "open_turn",
        "release_challenger",
        "track",
    ),
    "everfit.tasks.steps.window": (
        "find_champion",
        "read_window",
    ),
    "everfit.tasks.training.results": (
        "CandidateResult",
        "Fitted",
    ),
    "everfit.tasks.triage.decision": ("TriageDecision",),
    "everfit.tasks.triage.signals": ("Signals",),
    "everfit.tasks.turns.context": ("Context",),
    "everfit.tasks.turns.turn_record": ("TurnRecord",),
}
"""The public names, by the modules that define them."""

__all__ = [
    "Batch",
    "CandidateResult",
    "Check",
    "CollectedLabels",
    "Context",
    "Conversion",
    "Decision",
    "Evidence",
    "Fitted",
    "GateDecision",
    "ModelVersion",
    "MonitoredModel",
    "MonitoredWindow",
    "OpenTurn",
    "Record",
    "Release",
    "RequestOutcome",
    "ScoringResult",
    "SignalResult",
    "Signals",
    "Snapshot",
    "Split",
    "TrainingData",
    "TriageDecision",
    "Trigger",
    "Turn",
    "TurnRecord",
    "Validation",
    "Window",
    "WindowEvidence",
    "already_trained",
    "apply_gate",
    "check_serving",
    "collect_labels",
    "commit",
    "convert",
    "decide_window",
    "evaluate",
    "find_champion",
    "fit",
    "ingest",
    "longer_holdout",
    "measure_drift",
    "measure_quality",
    "measure_signals",
    "notify",
    "open_context",
    "open_turn",
    "open_window_run",
    "own_metric",
    "preview_gate",
    "read_predictions",
    "read_window",
    "reconcile",
    "refit",
    "register",
    "release_challenger",
    "request_turn",
    "roll_back",
    "score",
    "split",
    "take_snapshot",
    "track",
    "training_data",
    "transform_rows",
    "try_candidates",
    "validate",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    for module, names in _MODULES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(module), name)
            return value
    raise AttributeError(f"module 'everfit.tasks' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
