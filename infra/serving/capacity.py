"""How many requests a version answers on one core, by the real service: HTTP, checks, prediction and log.

Another process serves the versions, and this one asks it over 16 connections. Its processor time counts, so that other
work on the machine hardly matters. Two versions are asked in turns.
"""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from everfit.infra.serving.capacity_server import VERSIONS_FILE
from everfit.tasks.core.records import ModelVersion

_CONNECTIONS = 16
_ROUNDS, _SECONDS = 6, 0.75
"""At most this many rounds, and the seconds of each."""
_NEAR = 0.03
"""By how much the two best rounds may differ, as a share."""
WITHIN = 50.0
"""Seconds that all of the serving check may take."""
_PROGRAM = "everfit.infra.serving.capacity_server"


class CapacityError(Exception):
    """The capacity could not be measured."""


def measure_capacity(
    versions: Mapping[str, tuple[ModelVersion, Path]], records: Sequence[Mapping[str, Any]], ends: float
) -> dict[str, dict[str, float]]:
    """Return `requests_per_second` and `p99_ms` of each version, of requests with one row.

    Args:
        versions: The versions by name, each with the folder of its checked files.
        records: Rows that each version is asked about, in turns.
        ends: Moment on the clock of `time.monotonic` by which it must be done.

    Raises:
        CapacityError: The service did not start or answer.
    """
    bodies = [json.dumps({"dataframe_records": [record]}).encode() for record in records]
    rates: dict[str, list[float]] = {name: [] for name in versions}
    p99s: dict[str, list[float]] = {name: [] for name in versions}
    with _server(versions) as process:
        port = int(_line(process, ends))
        for turn in range(_ROUNDS + 1):
            for name in versions:
                seconds = min(_SECONDS, ends - time.monotonic())
                if seconds <= 0.2:
                    break
                before = _processor_seconds(process, ends)
                times = asyncio.run(_ask(port, name, bodies, seconds))
                used = _processor_seconds(process, ends) - before
                if turn and used > 0 and times:  # the first turn warms up
                    rates[name].append(len(times) / used)
                    p99s[name].append(sorted(times)[int(0.99 * (len(times) - 1))] * 1000)
            if all(map(rounds_agree, rates.values())):
                break
    if not all(rates.values()):
        raise CapacityError(f"there was no time for it within {WITHIN:.0f} s; the machine is too busy")
    # Other work only makes it slower, so the best round is the nearest to the truth.
    return {name: {"requests_per_second": max(rates[name]), "p99_ms": min(p99s[name])} for name in versions}


def rounds_agree(rates: Sequence[float]) -> bool:
    """Return whether the two best rounds agree: other work only slows a round, so hardly any did.

    Args:
        rates: Requests per second of each round.
    """
    best = sorted(rates, reverse=True)[:2]
    return len(best) == 2 and best[1] >= (1 - _NEAR) * best[0]


@contextmanager
def _server(versions: Mapping[str, tuple[ModelVersion, Path]]) -> Iterator["subprocess.Popen[str]"]:
    with TemporaryDirectory(prefix="everfit-capacity-") as folder:
        content = {
            name: {"version": version.model_dump(mode="json"), "folder": str(files)}
            for name, (version, files) in versions.items()
        }
        Path(folder, VERSIONS_FILE).write_text(json.dumps(content), encoding="utf-8")
        with Path(folder, "errors").open("w+", encoding="utf-8") as errors:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", _PROGRAM, folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            try:
                yield process
            except CapacityError as error:
                errors.seek(0)
                last = (errors.read().strip().splitlines() or [""])[-1]
                raise CapacityError(f"{error}: {last}" if last else str(error)) from error
            finally:
                _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _processor_seconds(process: "subprocess.Popen[str]", ends: float) -> float:
    assert process.stdin is not None  # noqa: S101 - it was made with a pipe
    try:
        process.stdin.write("\n")
        process.stdin.flush()
    except OSError as error:
        raise CapacityError("the service ended") from error
    return float(_line(process, max(ends, time.monotonic() + 2)))


def _line(process: "subprocess.Popen[str]", ends: float) -> str:
    """Return the next line of the service."""
    found: list[str] = []
    assert process.stdout is not None  # noqa: S101 - it was made with a pipe
    reading = threading.Thread(target=lambda: found.append(process.stdout.readline()), daemon=True)  # type: ignore[union-attr]
    reading.start()
    reading.join(max(0.0, ends - time.monotonic()))
    if not found or not found[0]:
        process.kill()
        raise CapacityError("the service ended" if found else f"the service did not answer within {WITHIN:.0f} s")
    return found[0]


async def _ask(port: int, name: str, bodies: Sequence[bytes], seconds: float) -> list[float]:
    """Return the seconds of each request, asked over plain sockets so that the client costs little.

    Raises:
        CapacityError: A request was refused.
    """
    head = [f"POST /models/{name}/invocations HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json"]
    requests = cycle("\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body for body in bodies)
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while time.perf_counter() < until:
                began = time.perf_counter()
                writer.write(next(requests))
                header = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
                if b" 200 " not in header[:15]:
                    answer = body[:200].decode(errors="replace")
                    raise CapacityError(f"the service refuses a row of the hold-out: {answer}")
                times.append(time.perf_counter() - began)
        finally:
            writer.close()

    try:
        async with asyncio.timeout(seconds + 10):
            await asyncio.gather(*(connection() for _ in range(_CONNECTIONS)))
    except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
        raise CapacityError(f"the service did not answer ({type(error).__name__})") from error
    return times
