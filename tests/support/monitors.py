"""Monitors that run at the same moment, each in a process of its own."""

from datetime import datetime
from pathlib import Path

from support.processes import forked, settle_in


def monitor_in_processes(model: str, until: datetime, count: int, workspace: Path, mlflow_uri: str) -> list[int | None]:
    """Run monitors of one window at once.

    Returns:
        Each process's exit code.
    """
    from prefect.settings import get_current_settings

    api = str(get_current_settings().api.url)
    environment = {"EVERFIT_WORKSPACE": str(workspace), "MLFLOW_TRACKING_URI": mlflow_uri, "PREFECT_API_URL": api}
    arguments = (model, until, environment, str(workspace.parent))
    running = [forked.Process(target=_monitor, args=arguments) for _ in range(count)]
    for process in running:
        process.start()
    for process in running:
        process.join(timeout=180)
        if process.exitcode is None:
            process.kill()
    return [process.exitcode for process in running]


def _monitor(model: str, until: datetime, environment: dict[str, str], folder: str) -> None:
    settle_in(environment, folder)
    from everfit.flows.monitoring_flow import monitoring

    # Seen on a busy server: a run that was done came back without its data. Its state tells how it ended.
    state = monitoring(model, until, return_state=True)
    raise SystemExit(0 if state.is_completed() else 1)
