"""What monitoring looks at, as Prefect tasks: the champion as of a moment, what it answered, what has come true."""

import logging
from datetime import datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from everfit.blocks.errors import NoChampionError
from everfit.tasks.batch import label_collection
from everfit.tasks.monitoring.monitored_model import Watched
from everfit.tasks.monitoring.monitoring import attempt
from everfit.tasks.monitoring.report import report_process
from everfit.tasks.monitoring.signals import expectations
from everfit.tasks.monitoring.window import Live, read_live
from everfit.tasks.triage.signals import LabelsSignal
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.monitoring")


@task(cache_policy=NO_CACHE)
def find(context: Context, until: datetime) -> Watched | None:
    """The champion as of the window's end, and what is remembered of it; none before the first one."""
    if context.spec.monitoring.report != "never":
        report_process.warm_up()
    try:
        found = Watched.find(context, until)
    except NoChampionError:
        return None
    logger.info("champion  version %d, since %s", found.standing.version, f"{found.standing.released:%Y-%m-%d %H:%M}")
    return found


@task(cache_policy=NO_CACHE)
def take_labels(watched: Watched) -> LabelsSignal:
    """Take from the source what has come true; what can't be read is said, and those known already still count."""

    def taken() -> LabelsSignal:
        span = label_collection.label_window(watched.context, watched.until, watched.windows.both)
        label_collection.record_source_labels(watched.context, span)
        return LabelsSignal()

    return attempt(taken, LabelsSignal)


@task(cache_policy=NO_CACHE)
def read_window(watched: Watched) -> Live:
    """Count what was predicted in the window."""
    spec = watched.context.spec
    return read_live(
        watched.context.workspace.table(spec.name, "predictions"),
        watched.windows.window,
        watched.event_time,
        watched.reference.profile,
        watched.standing.version,
        sample_rows=max(spec.monitoring.report_rows, expectations.MOST_ROWS),
        outlier_above=spec.release.serving.outlier_above,
        implausible_ranges=spec.monitoring.data_quality.implausible_ranges,
    )
