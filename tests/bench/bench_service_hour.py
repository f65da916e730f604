"""Memory, first answer, latency and the longest gap of the prediction service under mixed requests.

Run with `python tests/bench/bench_service_hour.py [--seconds 3600] [--candidate hist_gradient_boosting] [--starts 3]`.
The model is that of `bench_serving.py`; it is one row after the other, 100 rows each second, and 160 rows at 16
connections every 20 s. It prints a line a minute: memory of all processes of the service (RSS counts shared pages in
each, PSS once), processor time, and latency by kind. The gap is the longest time between two answers to the client
that sends one row after the other. The first line has the processor time to the first answer, which depends little on
who else is computing.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from bench_serving import cpu_seconds, free_port, fresh_workspace, log_model, records

CANDIDATES = ("logistic_regression", "hist_gradient_boosting", "random_forest")
_PAUSE_S, _EVERY_S, _BURST_EVERY_S = 0.03, 1.0, 20.0


def processes(pid: int) -> list[int]:
    """A process and its children."""
    found = [pid]
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        found += [int(status.parent.name)] * (parent == pid)
    return found


def memory(pid: int) -> dict[str, int]:
    """Memory of a service's processes in megabytes: all of it, and with shared pages counted once."""
    total: dict[str, int] = defaultdict(int)
    for one in processes(pid):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()[1:]
        except OSError:
            continue  # it has ended
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        total["rss_mb"] += sizes["Rss"] // 1024
        total["pss_mb"] += sizes["Pss"] // 1024
    return dict(total)


class Service:
    """A service of the bench's model.

    Args:
        port: Its port.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/invocations"
        program = f"from everfit.infra.serving import run; run(['bench'], port={port})"
        self._began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def first_answer(self, body: bytes) -> dict[str, Any]:
        """Wait for the first answer."""
        while True:
            try:
                if httpx.post(self.url, content=body, headers={"content-type": "application/json"}).is_success:
                    break
            except httpx.HTTPError:
                pass
            if self.process.poll() is not None:
                raise RuntimeError("the service ended")
            time.sleep(0.02)
        took, used = time.perf_counter() - self._began, cpu_seconds(self.process.pid)
        return {"first_answer_s": round(took, 2), "cpu_s": round(used, 2), **memory(self.process.pid)}

    def end(self) -> None:
        """Stop it as a process manager does."""
        self.process.terminate()
        self.process.wait(60)


class Load:
    """Mixed requests to a service, and what became of them since the last line.

    Args:
        service: The service.
        asked: Rows to ask about, one after the other.
        seconds: How long to ask.
    """

    def __init__(self, service: Service, asked: list[dict[str, Any]], seconds: float) -> None:
        self._service, self._asked, self._until = service, asked, time.monotonic() + seconds
        self._times: dict[str, list[float]] = defaultdict(list)
        self._codes: dict[str, int] = defaultdict(int)
        self._sent, self._gap = 0, 0.0

    @property
    def _goes_on(self) -> bool:
        return time.monotonic() < self._until

    async def run(self) -> None:
        """Ask for so long, and print a line a minute."""
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=40), timeout=60) as client:
            await asyncio.gather(self._ones(client), self._hundreds(client), self._bursts(client), self._tell())

    async def _ask(self, client: httpx.AsyncClient, kind: str, count: int) -> None:
        rows = [self._asked[(self._sent + row) % len(self._asked)] for row in range(count)]
        self._sent += count
        began = time.perf_counter()
        answer = await client.post(self._service.url, json={"dataframe_records": rows})
        self._times[kind].append(time.perf_counter() - began)
        self._codes[str(answer.status_code)] += 1

    async def _ones(self, client: httpx.AsyncClient) -> None:
        last = time.perf_counter()
        while self._goes_on:
            await self._ask(client, "1 row", 1)
            self._gap, last = max(self._gap, time.perf_counter() - last), time.perf_counter()
            await asyncio.sleep(_PAUSE_S)

    async def _hundreds(self, client: httpx.AsyncClient) -> None:
        while self._goes_on:
            await self._ask(client, "100 rows", 100)
            await asyncio.sleep(_EVERY_S)

    async def _bursts(self, client: httpx.AsyncClient) -> None:
        while self._goes_on:
            await asyncio.sleep(_BURST_EVERY_S)
            for _ in range(10):
                await asyncio.gather(*(self._ask(client, "16 connections", 1) for _ in range(16)))

    async def _tell(self) -> None:
        pid, minute = self._service.process.pid, 0
        before = cpu_seconds(pid)
        while self._goes_on:
            await asyncio.sleep(min(60.0, max(0.0, self._until - time.monotonic())))
            minute, now = minute + 1, cpu_seconds(pid)
            figures = {**memory(pid), "cpu_s": round(now - before, 1), "gap_ms": round(1e3 * self._gap)}
            print(f"minute {minute:3} {figures} {self._latency()} {dict(self._codes)}", flush=True)
            self._gap, before = 0.0, now

    def _latency(self) -> dict[str, dict[str, float]]:
        shown = {
            kind: {f"p{level}_ms": round(1e3 * float(np.percentile(times, level)), 1) for level in (50, 99)}
            for kind, times in self._times.items()
        }
        self._times.clear()
        return shown


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--starts", type=int, default=3, help="how often the time to the first answer is measured")
    parser.add_argument("--candidate", default="logistic_regression", choices=CANDIDATES)
    arguments = parser.parse_args()
    folder = fresh_workspace()
    log_model(folder, arguments.candidate)
    asked = records(5_000)
    body = json.dumps({"dataframe_records": asked[:1]}).encode()
    port = free_port()
    for number in range(arguments.starts + 1):  # the first one downloads the model
        service = Service(port)
        try:
            print(f"start {number} {service.first_answer(body)}", flush=True)
            if number == arguments.starts:
                asyncio.run(Load(service, asked, arguments.seconds).run())
        finally:
            service.end()


if __name__ == "__main__":
    main()
