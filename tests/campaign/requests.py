"""Send malformed requests to a service, and let slow, idle and endless clients at it.

The invariants: no answer has a status of 500 or more, the service lives and its memory does not grow, slow and endless
clients are cut off, a good client is answered meanwhile, and each prediction that was answered is in the log, exactly
once. The log's files are read directly.
"""

import asyncio
import contextlib
import json
import os
import random
import socket
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from deltalake import DeltaTable
from support.processes import forked
from support.small_model import register_small_model

from campaign.malformed_requests import FOUND, malformed
from campaign.tally import Tally

_HEAD_SECONDS = 1.0
"""Time for a request's headers in this service; the default would make each run ten times as long."""
_MOST_GROWTH = 200 * 2**20
_MOST_ACCEPTED = 48 * 2**20
"""Bytes of an endless client: the largest body, as much again after the refusal, and the kernel's buffers."""
_PATIENCE = 20.0


def run_requests(folder: Path, seed: int, requests: int) -> Tally:
    """Attack a service.

    Args:
        folder: Empty folder.
        seed: Decides on the requests.
        requests: Number of malformed requests.
    """
    tally, port = Tally(), _free_port()
    _register(folder)
    process = forked.Process(target=_serve, args=(str(folder), port))
    process.start()
    try:
        asyncio.run(_attack(port, process.pid or 0, f"seed {seed}", requests, random.Random(seed), tally, folder))
    finally:
        process.terminate()
        process.join(60)
        if process.exitcode is None:
            process.kill()
            tally.broken.append(f"seed {seed}: the service does not end")
    answered = (folder / "answered").read_text().split()
    log = folder / "workspace" / "model" / "predictions"
    files = DeltaTable(str(log)).file_uris() if answered else []
    logged = Counter(one for file in files for one in pq.read_table(file)["_prediction_id"].to_pylist())
    tally.done["answered predictions"] += len(answered)
    if lost := set(answered) - logged.keys():
        tally.broken.append(f"seed {seed}: {len(lost)} answered predictions are not in the log")
    if doubled := [name for name, count in logged.items() if count > 1]:
        tally.broken.append(f"seed {seed}: {len(doubled)} predictions are in the log twice")
    return tally


def _serve(folder: str, port: int) -> None:
    os.environ |= {
        "EVERFIT_WORKSPACE": f"{folder}/workspace",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }
    os.chdir(folder)
    warnings.simplefilter("ignore")
    from everfit.infra.serving import run
    from everfit.infra.serving.connections import LimitedProtocol

    LimitedProtocol.head_seconds = LimitedProtocol.read_seconds = _HEAD_SECONDS
    run(["model"], port=port)


def _register(folder: Path) -> None:
    """Register a small model as the champion in an empty folder."""
    register_small_model(folder)
    (folder / "workspace").mkdir()
    (folder / "answered").touch()


async def _attack(
    port: int, pid: int, where: str, requests: int, chance: random.Random, tally: Tally, folder: Path
) -> None:
    service = _Client(port, where, tally, folder / "answered")
    await service.start()
    before = _memory(pid)
    over = asyncio.Event()
    good = asyncio.create_task(service.stay_good(over))
    try:
        await asyncio.gather(
            service.send_malformed(requests, chance),
            *(service.be_endless(kind) for kind in _ENDLESS),
            *(service.be_slow(start) for start in _SLOW),
            *(service.be_idle() for _ in range(100)),
        )
    finally:
        over.set()
        await good
    growth = _memory(pid) - before
    if growth > _MOST_GROWTH:
        tally.broken.append(f"{where}: the service's memory grew by {growth / 2**20:.0f} MB")


_GOOD = b"POST /models/model/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
_ENDLESS = {
    "address": (b"GET /", b"a" * 65_536),
    "header": (b"GET / HTTP/1.1\r\nX: ", b"a" * 65_536),
    "headers": (b"GET / HTTP/1.1\r\n", b"".join(b"X%d: a\r\n" % number for number in range(5_000))),
    "body": (_GOOD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65_536 + b"\r\n"),
}
_SLOW = (b"", b"P", b"POST /models/model/predict HTTP/1.1\r\nHost", _GOOD)


class _Client:
    """All clients of a service.

    Args:
        port: Port of the service.
        where: Begins each sentence about a broken invariant.
        tally: Counts what was sent.
        answered: File for the ids of answered predictions.
    """

    def __init__(self, port: int, where: str, tally: Tally, answered: Path) -> None:
        self.port, self.where, self.tally, self.answered = port, where, tally, answered

    async def start(self) -> None:
        """Wait until the service answers."""
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
                if (await self._ask(self._good_request(0)))[0] == 200:
                    return
            await asyncio.sleep(0.05)
        raise TimeoutError("the service does not start")

    async def stay_good(self, over: asyncio.Event) -> None:
        """Send good requests, each of which must be answered in time."""
        number = 0
        while not over.is_set():
            number += 1
            try:
                status, _ = await asyncio.wait_for(self._ask(self._good_request(number)), _PATIENCE)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
                self._broke(f"good request {number} was not answered: {type(error).__name__}: {error}")
                continue
            self.tally.done["good requests"] += 1
            if status != 200:
                self._broke(f"good request {number} got {status}")

    async def send_malformed(self, count: int, chance: random.Random) -> None:
        """Send requests with changed bytes or odd heads."""
        made = (malformed(self._good_request(chance.randrange(1_000)), chance) for _ in range(count))
        for request in (*FOUND, *made):
            try:
                status, _ = await asyncio.wait_for(self._ask(request, end=True), _PATIENCE)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                status = 0  # closed without an answer
            except TimeoutError:
                self._broke(f"no answer to {request[:300]!r}")
                continue
            self.tally.done["bad requests"] += 1
            if status >= 500:
                self._broke(f"status {status} for {request[:300]!r}")

    async def be_endless(self, kind: str) -> None:
        """Send without end, until the service cuts the connection."""
        start, more = _ENDLESS[kind]
        sent, until = len(start), time.monotonic() + _PATIENCE
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            with contextlib.closing(writer):
                writer.write(start)
                while sent <= _MOST_ACCEPTED and time.monotonic() < until:
                    writer.write(more)
                    await writer.drain()
                    sent += len(more)
        self.tally.done["endless clients"] += 1
        if sent > _MOST_ACCEPTED:
            self._broke(f"the service took {sent / 2**20:.0f} MB of an endless {kind}")

    async def be_slow(self, start: bytes) -> None:
        """Send the beginning of a request and no more; the service must close the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        with contextlib.closing(writer):
            writer.write(start)
            try:
                await asyncio.wait_for(reader.read(), _HEAD_SECONDS + _PATIENCE)
            except TimeoutError:
                self._broke(f"a client that sent {start!r} and no more keeps its connection")
            except OSError:
                pass
        self.tally.done["slow clients"] += 1

    async def be_idle(self) -> None:
        """Open a connection and send nothing; the service must close it."""
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            with contextlib.closing(writer):
                try:
                    await asyncio.wait_for(reader.read(), _HEAD_SECONDS + _PATIENCE)
                except TimeoutError:
                    self._broke("an idle client keeps its connection")
        self.tally.done["idle clients"] += 1

    @staticmethod
    def _good_request(number: int) -> bytes:
        body = json.dumps({"records": [{"x": number / 7, "at": "2024-01-05T00:00:00Z"}]}).encode()
        return _GOOD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def _ask(self, request: bytes, *, end: bool = False) -> tuple[int, Any]:
        """Send a request; return the status and the body, and keep the ids of answered predictions."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        with contextlib.closing(writer):
            writer.write(request)
            if end:
                writer.write_eof()
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            body = await reader.readexactly(int(length)) if length else b""
        if status == 200 and body.startswith(b'{"predictions":[{"prediction_id"'):
            ids = [one["prediction_id"] for one in json.loads(body)["predictions"]]
            with self.answered.open("a") as stream:
                stream.write(" ".join(ids) + "\n")
        return status, body

    def _broke(self, problem: str) -> None:
        self.tally.broken.append(f"{self.where}: {problem}")


def _memory(pid: int) -> int:
    """Return the memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
