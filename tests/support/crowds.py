"""Many runs of the training flow at once, each in a process of its own."""

import json
from collections.abc import Mapping
from datetime import datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from support.processes import forked, settle_in


def start_turn(model: str, until: datetime, environment: Mapping[str, str], told: Path) -> BaseProcess:
    """Start a turn in a process that writes into the file `told` how it ended."""
    folder = str(Path(model).parent)
    process = forked.Process(target=_train, args=(model, until, dict(environment), folder, str(told)))
    process.start()
    return process


def endings(processes: list[BaseProcess], told: list[Path], seconds: float) -> list[Any]:
    """How each ended: its turn, or its error in words."""
    for process in processes:
        process.join(timeout=seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
    return [json.loads(path.read_text()) if path.exists() else "it hung or died" for path in told]


def _train(model: str, until: datetime, environment: dict[str, str], folder: str, told: str) -> None:
    settle_in(environment, folder)
    from everfit.deployments.cli.runs import result_of
    from everfit.flows.training_flow import training

    try:
        ended: Any = result_of(training(model, until, return_state=True))
    except Exception as error:  # noqa: BLE001 - the test looks at what it was
        ended = f"{type(error).__name__}: {error}"
    Path(told).write_text(json.dumps(ended))
