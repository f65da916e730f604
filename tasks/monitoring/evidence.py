"""The evidence areas of a window: one line for each, with its record and the function that measures it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from everfit.blocks.errors import NotEnoughError, WorkersError
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.monitoring.signals.code_change import compare_with_training
from everfit.tasks.monitoring.signals.data import check_data
from everfit.tasks.monitoring.signals.delays import compare_with_maturity
from everfit.tasks.monitoring.signals.early_quality import measure_early
from everfit.tasks.monitoring.signals.estimate import estimate_quality
from everfit.tasks.monitoring.signals.interval_coverage import measure_intervals
from everfit.tasks.monitoring.signals.labels import count_new_labels
from everfit.tasks.monitoring.signals.limits import measure_calibration, measure_fairness
from everfit.tasks.monitoring.signals.mature_quality import compare_with_holdout
from everfit.tasks.monitoring.signals.previous_champion import compare_with_previous
from everfit.tasks.monitoring.signals.service_health import check_services
from everfit.tasks.monitoring.signals.whole_drift import compare_with_reference
from everfit.tasks.triage.area import Area
from everfit.tasks.triage.delay_signal import DelaySignal
from everfit.tasks.triage.early_signal import EarlySignal
from everfit.tasks.triage.interval_signal import IntervalSignal
from everfit.tasks.triage.limit_signals import CalibrationSignal, FairnessSignal
from everfit.tasks.triage.quality_signals import EstimateSignal, PreviousSignal, QualitySignal
from everfit.tasks.triage.signals import CodeSignal, DataSignal, DriftSignal, LabelsSignal, ServiceHealthSignal

logger = logging.getLogger("everfit.monitoring")

AreaT = TypeVar("AreaT", bound=Area)


@dataclass(frozen=True)
class EvidenceArea(Generic[AreaT]):
    """An evidence area that is measured in every window.

    Attributes:
        record: The frozen record, which declares the area's name, its label and how it is shown.
        measure: Measures the area. It may raise: an error becomes the area's status.
    """

    record: type[AreaT]
    measure: Callable[[MonitoredWindow], AreaT]

    def attempt(self, window: MonitoredWindow) -> AreaT:
        """Measure the area of a window; an error becomes its status."""
        return attempt(partial(self.measure, window), self.record)


AREAS: tuple[EvidenceArea[Any], ...] = (
    EvidenceArea(DriftSignal, compare_with_reference),
    EvidenceArea(DataSignal, check_data),
    EvidenceArea(QualitySignal, compare_with_holdout),
    EvidenceArea(EstimateSignal, estimate_quality),
    EvidenceArea(PreviousSignal, compare_with_previous),
    EvidenceArea(LabelsSignal, count_new_labels),
    EvidenceArea(DelaySignal, compare_with_maturity),
    EvidenceArea(EarlySignal, measure_early),
    EvidenceArea(IntervalSignal, measure_intervals),
    EvidenceArea(CodeSignal, compare_with_training),
    EvidenceArea(FairnessSignal, measure_fairness),
    EvidenceArea(CalibrationSignal, measure_calibration),
    EvidenceArea(ServiceHealthSignal, check_services),
)
"""In the order in which they are measured. `Signals` has one field for each."""


def area_of(record: type[AreaT]) -> EvidenceArea[AreaT]:
    """Return the evidence area of a record."""
    return next(area for area in AREAS if area.record is record)


def attempt(measure: Callable[[], AreaT], record: Callable[..., AreaT]) -> AreaT:
    """Measure an area; an error becomes its status, because the other areas still count.

    Only an error that more rows would solve gives `not_enough`; every other error gives `failed`.

    Args:
        measure: Measures the area.
        record: Makes the area's record from a status and a reason.

    Raises:
        WorkersError: The Dask workers, or their scheduler, are gone.
    """
    try:
        return measure()
    except NotEnoughError as error:
        return record(status="not_enough", reason=str(error))
    except WorkersError:  # of every area
        raise
    except Exception as error:
        area = record(status="failed", reason=f"{type(error).__name__}: {error}")
        logger.exception("%s could not be measured", area.title)
        return area
