"""A load of so many requests a second while the champion is swapped and the service is killed with SIGKILL.

    python tests/bench/bench_kills.py --rate 200 --seconds 60 --swaps 5 --kills 3

Tells how many predictions were answered, and whether each is in the log exactly once, with the version it was answered
by. Requests that find no service are tried again, as a client would; they count as not answered.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import httpx
import numpy as np
from bench_serving import free_port, fresh_workspace, log_model, records

PROGRAM = """
import sys
from everfit.blocks.serving import ServingPolicy
from everfit.infra.serving import run
policy = ServingPolicy.model_validate({"follow_every": "0.2s", "drain_every": "0.5s"})
run(["bench"], port=int(sys.argv[1]), policies={"bench": policy})
"""
CONNECTIONS = 20


class Run:
    """One run of the load."""

    def __init__(self, port: int, seconds: float, rate: float) -> None:
        self.port, self.until, self.pause = port, time.monotonic() + seconds, CONNECTIONS / rate
        self.answered: list[tuple[str, int]] = []
        self.times: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.kills = self.swaps = 0
        self.down: list[float] = []
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    async def healthy(self) -> None:
        until = time.monotonic() + 120
        async with httpx.AsyncClient() as client:
            while time.monotonic() < until:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"http://127.0.0.1:{self.port}/health")).status_code == 200:
                        return
                await asyncio.sleep(0.05)
        raise RuntimeError("the service doesn't answer")

    async def ask(self, payloads: Iterator[bytes]) -> None:
        """One connection: at its share of the rate, and anew when it breaks."""
        head = "POST /models/bench/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        head += "Content-Length: {}\r\n\r\n"
        while time.monotonic() < self.until:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                due = time.monotonic()
                while time.monotonic() < self.until:
                    began = time.monotonic()
                    payload = next(payloads)
                    writer.write(head.format(len(payload)).encode() + payload)
                    header = await reader.readuntil(b"\r\n\r\n")
                    body = await reader.readexactly(int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
                    self.times.append(time.monotonic() - began)
                    self.statuses[header[9:12].decode()] += 1
                    if header[9:12] == b"200":
                        (one,) = json.loads(body)["predictions"]
                        self.answered.append((one["prediction_id"], one["model_version"]))
                    due = max(due + self.pause, time.monotonic() - 1)
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                writer.close()
            except (OSError, asyncio.IncompleteReadError):
                self.statuses["no service"] += 1
                await asyncio.sleep(0.05)

    async def disturb(self, client: object, versions: list[str], swaps: int, kills: int, seconds: float) -> None:
        began = time.monotonic()
        plan = [(seconds * (one + 0.5) / swaps, "swap") for one in range(swaps)]
        plan += [(seconds * (one + 0.6) / kills, "kill") for one in range(kills)]
        for at, what in sorted(plan):
            await asyncio.sleep(max(0.0, began + at - time.monotonic()))
            if what == "swap":
                self.swaps += 1
                alias = ("bench", "champion", versions[self.swaps % len(versions)])
                await asyncio.to_thread(client.set_registered_model_alias, *alias)  # type: ignore[attr-defined]
            else:
                self.kills += 1
                died = time.monotonic()
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
                self.process = self.start()
                await self.healthy()
                self.down.append(round(time.monotonic() - died, 2))


async def run(arguments: argparse.Namespace, folder: Path) -> Run:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=os.environ["MLFLOW_TRACKING_URI"])
    versions = [str(client.create_model_version("bench", (folder / "model").as_uri()).version) for _ in range(2)]
    payloads = cycle([json.dumps({"records": [one]}).encode() for one in records(2_000)])
    load = Run(free_port(), 0, arguments.rate)
    await load.healthy()
    load.until = time.monotonic() + arguments.seconds
    await asyncio.gather(
        load.disturb(client, versions, arguments.swaps, arguments.kills, arguments.seconds),
        *(load.ask(payloads) for _ in range(CONNECTIONS)),
    )
    return load


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, kind, value in (("rate", float, 200), ("seconds", float, 60), ("swaps", int, 5), ("kills", int, 3)):
        parser.add_argument(f"--{name}", type=kind, default=value)
    folder = fresh_workspace()
    log_model(folder)
    load = asyncio.run(run(parser.parse_args(), folder))
    spools = folder / "workspace" / "serving" / "bench" / "spool"
    until = time.monotonic() + 120
    while any(path.stat().st_size for path in spools.glob("*/*.seg")) and time.monotonic() < until:
        time.sleep(0.5)
    load.process.terminate()
    load.process.wait(60)

    from everfit.tasks.predictions import prediction_log
    from everfit.tasks.storage.tables import Table

    log = prediction_log.read(Table(str(folder / "workspace" / "bench" / "predictions")), None, "scheduled_departure")
    logged = dict(zip(log["_prediction_id"], log["_model_version"], strict=True))
    found = {
        "answered": len(load.answered),
        "lost": sum(one not in logged for one, _ in load.answered),
        "twice": int(log["_prediction_id"].duplicated().sum()),
        "wrong_version": sum(logged.get(one) != version for one, version in load.answered),
        "logged_but_killed_before_answered": len(logged) - len(load.answered),
        "by_version": dict(Counter(version for _, version in load.answered)),
        "statuses": dict(load.statuses),
        "kills": load.kills,
        "seconds_down": load.down,
        "swaps": load.swaps,
        "p50_ms": round(float(np.percentile(load.times, 50)) * 1e3, 1),
        "p99_ms": round(float(np.percentile(load.times, 99)) * 1e3, 1),
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
