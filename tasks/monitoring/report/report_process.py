"""Draws drift reports in a process of its own, beside the rest of a look at a window.

Importing Evidently and drawing take about as long as all else that a window needs. Nothing is decided here: a report
that could not be drawn is an error and is never passed over.
"""

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

import pandas as pd

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.monitoring.report.drift_report import DriftReport, DriftReportError, drift_html
from everfit.tasks.monitoring.report.packed_page import pack_page
from everfit.tasks.monitoring.report.text_descriptors import import_evidently
from everfit.tasks.monitoring.signals.drift import DriftResult
from everfit.tasks.statistics.profile import reference_sample

REPORT_FILE = "drift.html"
"""The report's name."""

LONGEST = 300.0
"""Seconds after which a process that still draws is ended."""

_JOB, _OUTCOME, _SIDES = "job.json", "outcome.json", ("reference.parquet", "window.parquet")


class ReportWorker:
    """A process that has imported Evidently, or is about to, and draws one report after the other."""

    def __init__(self) -> None:
        self._said: IO[bytes] = TemporaryFile()  # noqa: SIM115 - as long as the process
        # -P: a file in the working folder must not be imported in place of a library.
        command = [sys.executable, "-P", "-m", "everfit.tasks.monitoring.report.report_process"]
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
        )
        # The decision has priority; the report is only needed at the end.
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, os.getpriority(os.PRIO_PROCESS, 0) + 5)

    def begin(self, folder: Path) -> None:
        """Name the folder with the job; don't wait for it."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(BrokenPipeError):  # the process has died; `wait` raises the reason
            self._process.stdin.write(f"{folder}\n".encode())
            self._process.stdin.flush()

    def wait(self, seconds: float) -> None:
        """Wait until the job is done.

        Raises:
            DriftReportError: the process died, or takes too long.
        """
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, seconds))
        if not ready:
            raise DriftReportError(f"Evidently's report was not drawn within {LONGEST:.0f} s; lower report_rows")
        if not self._process.stdout.readline():
            code = self._process.wait()
            raise DriftReportError(f"the process that draws Evidently's report ended with code {code}: {self._last()}")

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._said.close()

    def _last(self) -> str:
        """The last line that the process said."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


_spare: list[ReportWorker] = []
_lock = threading.Lock()


def warm_up() -> None:
    """Start the process that will draw, while there is other work to do."""
    with _lock:
        if not _spare:
            _spare.append(ReportWorker())


@atexit.register
def close() -> None:
    """End the process that waits for something to draw."""
    with _lock:
        while _spare:
            _spare.pop().end()


@dataclass
class ReportJob:
    """A report that is being drawn, or the reason why it could not be begun."""

    folder: "TemporaryDirectory[str]"
    began: float
    painter: ReportWorker | None = None
    problem: str = ""

    @classmethod
    def begin(
        cls,
        reference: pd.DataFrame,
        current: pd.DataFrame,
        policy: MonitoringPolicy,
        *,
        columns: Sequence[str],
        texts: Sequence[str] = (),
        result: DriftResult | None = None,
    ) -> "ReportJob":
        """Begin to draw, and don't wait for it; the arguments are those of `drift_html`.

        `wait` raises any error, of this call or of the drawing.
        """
        drawing = cls(TemporaryDirectory(prefix="everfit-report-"), time.monotonic())
        try:
            drawing._write_job(reference, current, policy, columns=columns, texts=texts, result=result)
            with _lock:
                drawing.painter = _spare.pop() if _spare else ReportWorker()
            drawing.painter.begin(Path(drawing.folder.name))
        except Exception as error:  # noqa: BLE001 - `wait` raises it
            drawing.problem = f"Evidently's report could not be begun: {type(error).__name__}: {error}"
        return drawing

    def _write_job(
        self,
        reference: pd.DataFrame,
        current: pd.DataFrame,
        policy: MonitoringPolicy,
        *,
        columns: Sequence[str],
        texts: Sequence[str],
        result: DriftResult | None,
    ) -> None:
        folder = Path(self.folder.name)
        for side, name in zip((reference, current), _SIDES, strict=True):
            reference_sample(side[list(columns)], policy.report_rows).to_parquet(folder / name, index=False)
        job = {
            "policy": policy.model_dump(mode="json", exclude={"operations"}),  # in which there is a secret
            "columns": list(columns),
            "texts": list(texts),
            "result": None if result is None else result.model_dump(mode="json"),
        }
        (folder / _JOB).write_text(json.dumps(job), encoding="utf-8")

    def wait(self) -> Path:
        """Wait until the report is drawn.

        Returns:
            The HTML, which is there until `end`.

        Raises:
            DriftReportError: it can't be drawn, or the process died or takes too long.
        """
        if self.painter is None or self.problem:
            raise DriftReportError(self.problem)
        try:
            self.painter.wait(self.began + LONGEST - time.monotonic())
        except DriftReportError:
            self.painter.end()
            raise
        folder = Path(self.folder.name)
        outcome = json.loads((folder / _OUTCOME).read_text(encoding="utf-8"))
        with _lock:
            if not _spare:  # given back, it may be somebody else's from now on
                _spare.append(self.painter)
                self.painter = None
        if "error" in outcome:
            raise DriftReportError(outcome["error"])
        return folder / DriftReport.model_validate(outcome).file

    def end(self) -> None:
        """Take what was drawn away."""
        if self.painter is not None:
            self.painter.end()
        self.folder.cleanup()


def draw_report(folder: Path) -> None:
    """Draw what a folder's job says, and leave beside it what became of it."""
    job = json.loads((folder / _JOB).read_text(encoding="utf-8"))
    old, new = (pd.read_parquet(folder / name) for name in _SIDES)
    policy = MonitoringPolicy.model_validate(job["policy"])
    result = None if job["result"] is None else DriftResult.model_validate(job["result"])
    try:
        columns, texts = job["columns"], job["texts"]
        drawn = drift_html(old, new, policy, folder / REPORT_FILE, columns=columns, texts=texts, result=result)
        packed = pack_page((folder / REPORT_FILE).read_text(encoding="utf-8"))
        (folder / REPORT_FILE).write_text(packed, encoding="utf-8")
        outcome = drawn.model_copy(update={"size": len(packed)}).model_dump_json()
    except DriftReportError as error:
        outcome = json.dumps({"error": str(error)})
    (folder / _OUTCOME).write_text(outcome, encoding="utf-8")


def main() -> None:
    """Import Evidently, then draw what standard input names, until it ends."""
    output, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is not for the process that waits
    import_evidently()
    for line in sys.stdin:
        draw_report(Path(line.rstrip("\n")))
        print("done", file=output, flush=True)


if __name__ == "__main__":
    main()
