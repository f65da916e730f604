"""Bad requests by the thousand: no 5xx, no crash, no answered prediction that is not in the log.

    python tests/bench/bench_bad_requests.py --bytes 10000 --generated 10000

`--bytes` are good requests of all formats with their bytes changed at random, head and body, over plain sockets;
`--generated` are made by schemathesis from the service's own OpenAPI description, a part of them against it.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from bench_serving import free_port, fresh_workspace, log_model, records, server

PROGRAM = "import sys; from everfit.infra.serving import run; run(['bench'], port=int(sys.argv[1]))"
CONNECTIONS = 8


class Answers:
    """What came back."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.ids: list[str] = []
        self.faults: list[tuple[str, str]] = []

    def take(self, status: int, header: str, body: bytes, asked: object) -> None:
        self.statuses[str(status)] += 1
        if status >= 500:
            self.faults.append((repr(asked)[:400], body[:300].decode("utf-8", "replace")))
        if status != 200:
            return
        if header:
            self.ids += header.split(",")
        elif b'"prediction_id"' in body:
            self.ids += [one["prediction_id"] for one in json.loads(body)["predictions"]]


def requests_of(rows: list[dict[str, Any]]) -> list[bytes]:
    """Good requests, one of each form."""
    names = list(rows[0])
    csv = "\n".join([",".join(names), *(",".join(str(row[name]) for name in names) for row in rows)])
    split = {"columns": names, "data": [[row[name] for name in names] for row in rows]}
    label = {
        "key": {name: rows[0][name] for name in ("scheduled_departure", "carrier", "flight", "origin")},
        "label": 1,
    }
    bodies = [
        ("/invocations", "application/json", json.dumps({"dataframe_records": rows})),
        ("/invocations", "application/json", json.dumps({"dataframe_split": split})),
        ("/invocations", "application/json; charset=utf-8", json.dumps({"instances": rows})),
        ("/models/bench/invocations", "application/json", json.dumps({"inputs": rows})),
        ("/invocations", "text/csv", csv),
        ("/models/bench/predict", "application/json", json.dumps({"records": rows})),
        ("/models/bench/labels", "application/json", json.dumps({"labels": [label]})),
    ]
    return [
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n\r\n{body}".encode()
        for path, kind, body in bodies
    ]


def changed(good: bytes, dice: random.Random) -> bytes:
    """A request with some bytes other than they were; its length is told rightly, most of the time."""
    head, _, body = good.partition(b"\r\n\r\n")
    made = bytearray(body)
    # One in ten stays as it is: among bad requests good ones must be answered, and kept.
    for _ in range(0 if dice.random() < 0.1 else dice.choice([1, 1, 2, 6])):
        if not made:
            break
        at = dice.randrange(len(made))
        digits = [place for place in range(at, min(at + 40, len(made))) if 48 <= made[place] < 58]
        match dice.randrange(8):
            case 6 | 7 if digits:
                made[digits[0]] = dice.choice(b"0123456789.e-")
            case 0:
                made[at] = dice.randrange(256)
            case 1:
                del made[at : at + dice.randint(1, 30)]
            case 2:
                made[at:at] = made[dice.randrange(len(made)) :][: dice.randint(1, 30)]
            case 3:
                made[at:at] = dice.choice(
                    [
                        b"null",
                        b"1e999",
                        b"-0",
                        b"[[",
                        b'{"',
                        b"\\ud800",
                        b"\xff\xfe",
                        b"9" * 40,
                        b"NaN",
                        b"\x00",
                        b"true",
                    ]
                )
            case 4:
                made[at : at + 1] = dice.choice([b'"', b",", b":", b"}", b"]", b"\n", b"."])
            case _:
                del made[at:]
    lines = bytearray(head)
    if dice.random() < 0.1:
        lines[dice.randrange(len(lines))] = dice.randrange(256)
    length = len(made) if dice.random() > 0.02 else dice.choice([0, len(made) // 2, 2**70])
    return bytes(lines) + f"\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode() + bytes(made)


def told_length(asked: bytes) -> int:
    """The length of the body, as the request says."""
    said = asked.partition(b"\r\n\r\n")[0].rpartition(b"Content-Length: ")[2].partition(b"\r\n")[0]
    return int(said)


async def throw_bytes(port: int, count: int, seed: int, found: Answers) -> None:
    good, left = requests_of(records(3)), iter(range(count))

    async def connection(number: int) -> None:
        dice = random.Random(f"{seed}-{number}")
        for _ in left:
            requested = changed(dice.choice(good), dice)
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(requested)
                if len(requested.partition(b"\r\n\r\n")[2]) < told_length(requested):
                    writer.write_eof()  # or the service would wait for the rest
                answer = await asyncio.wait_for(reader.read(), 40)
                writer.close()
            except (ConnectionResetError, BrokenPipeError):
                found.statuses["closed"] += 1
                continue
            head, _, body = answer.partition(b"\r\n\r\n")
            if not head:
                found.statuses["closed"] += 1
                continue
            ids = [
                line
                for line in head.decode("latin-1").split("\r\n")
                if line.lower().startswith("everfit-prediction-ids")
            ]
            found.take(int(head[9:12]), ids[0].partition(": ")[2] if ids else "", body, requested)

    await asyncio.gather(*(connection(number) for number in range(CONNECTIONS)))


def throw_generated(port: int, count: int, seed: int, found: Answers) -> None:
    import hypothesis
    import requests
    import schemathesis
    from hypothesis import HealthCheck, given, settings

    base, session = f"http://127.0.0.1:{port}", requests.Session()
    schema = schemathesis.openapi.from_url(f"{base}/openapi.json")
    operations = [one.ok() for one in schema.get_all_operations()]
    posts = [one for one in operations if one.method.upper() == "POST"]
    modes = (schemathesis.GenerationMode.NEGATIVE, schemathesis.GenerationMode.POSITIVE)
    for operation in posts:
        for mode, share in zip(modes, (0.85, 0.15), strict=True):

            @hypothesis.seed(seed)
            @settings(
                max_examples=max(1, round(count * share / len(posts))),
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                answer = case.call(base_url=base, session=session)
                ids = answer.headers.get("everfit-prediction-ids", [""])
                found.take(answer.status_code, ids[0] if isinstance(ids, list) else ids, answer.content, case.body)

            ask()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int, default=10_000)
    parser.add_argument("--generated", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder = fresh_workspace()
    log_model(folder)
    results, port, began = Answers(), free_port(), time.monotonic()
    with server([sys.executable, "-c", PROGRAM, str(port)], port) as pid:
        asyncio.run(throw_bytes(port, arguments.bytes, arguments.seed, results))
        if arguments.generated:
            throw_generated(port, arguments.generated, arguments.seed, results)
        alive = subprocess.run(["kill", "-0", str(pid)], check=False).returncode == 0

    from everfit.tasks.predictions import prediction_log
    from everfit.tasks.storage.tables import Table

    log = prediction_log.read(Table(str(folder / "workspace" / "bench" / "predictions")), None, "scheduled_departure")
    logged = Counter(log["_prediction_id"])
    content = {
        "requests": sum(results.statuses.values()),
        "seconds": round(time.monotonic() - began, 1),
        "statuses": dict(sorted(results.statuses.items())),
        "faults": len(results.faults),
        "alive": alive,
        "answered": len(results.ids),
        "lost": sum(one not in logged for one in results.ids),
        "twice": sum(times > 1 for times in logged.values()),
    }
    print(json.dumps(content), flush=True)
    for requested, answer in results.faults[:5]:
        print(requested, "->", answer)


if __name__ == "__main__":
    main()
