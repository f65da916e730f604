"""Malformed requests: a good one with changed bytes, or one whose method, address or headers are odd."""

import random

_INSERTED = (
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
    b"\n",
)
_PATHS = (
    b"/ping",
    b"/health",
    b"/version",
    b"/metrics",
    b"/openapi.json",
    b"/invocations",
    b"/models/model",
    b"/models/model/predict",
    b"/models/model/labels",
    b"/models/model/invocations",
)
_ADDRESS_PARTS = (
    b"/",
    b"//",
    b"..",
    b"%00",
    b"%2f",
    b"%ff",
    b"%",
    b"[",
    b"]",
    b"[::1",
    b"*",
    b":",
    b"@",
    b"\xc3\xa9",
    b"\xff",
)
_QUERIES = (b"?", b"?a=[", b"?%", b"?%00=%ff", b"?a=1&a=2", b"??", b"?" + b"a=1&" * 500, b"?\xff", b"?at=2024-13-45")
_METHODS = (b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PATCH", b"TRACE", b"CONNECT", b"get", b"X")
_HEADERS = (
    b"Host",
    b"Origin",
    b"Authorization",
    b"Content-Type",
    b"Content-Length",
    b"Transfer-Encoding",
    b"Expect",
    b"Upgrade",
    b"Accept",
    b"Accept-Encoding",
    b"X-Forwarded-Host",
    b"X-Forwarded-For",
    b"Cookie",
    b"Range",
)
_VALUES = (
    b"",
    b"[",
    b"]",
    b"[::1",
    b"[::1]",
    b"[::1]:x",
    b"[v1.x]",
    b"[1.2.3.4]",
    b"localhost:",
    b"localhost:99999",
    b"localhost:x",
    b"localhost[",
    b"localhost\xe2\x84\x80",
    b"user@localhost",
    b"//[",
    b"http://[",
    b"http://localhost:99999999999",
    b"http://\xe2\x84\x80",
    b"null",
    b"Bearer",
    b"Bearer \xff",
    b"Bearer " + b"a" * 5_000,
    b"application/json",
    b"application/json; charset=\xff",
    b"application/json;;=;",
    b"application/json; charset=utf-16",
    b"text/csv",
    b"\xb2",
    b"-1",
    b"0",
    b"9" * 30,
    b"chunked",
    b"chunked, gzip",
    b"100-continue",
    b"websocket",
    b"h2c",
    b"\xff\xfe",
    b"%00",
    b"a" * 3_000,
    b"bytes=0-",
)

FOUND = tuple(
    b"%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (line, host)
    for line in (b"GET /models/model", b"GET /metrics", b"GET /openapi.json", b"GET /health/", b"POST /invocations")
    for host in (b"[", b"[::1", b"[v1.x]", b"localhost[", b"localhost\xe2\x84\x80")
)
"""Requests that were once answered with a 5xx; every run sends them first."""


def malformed(good: bytes, chance: random.Random) -> bytes:
    """Return a malformed request.

    Args:
        good: A request that is answered with predictions.
        chance: Decides on what is wrong with it.
    """
    return _odd_head(good, chance) if chance.random() < 0.4 else _changed_bytes(good, chance)


def _odd_head(good: bytes, chance: random.Random) -> bytes:
    """Return a request with an odd method, address or headers; each of them is as it should be at times."""
    body = good.partition(b"\r\n\r\n")[2] if chance.random() < 0.7 else b""
    path = chance.choice(_PATHS)
    method = b"POST" if path.endswith((b"s", b"predict")) and chance.random() < 0.7 else b"GET"
    if chance.random() < 0.1:
        method = chance.choice(_METHODS)
    if chance.random() < 0.4:
        at = chance.choice([len(path), chance.randrange(len(path))])
        path = path[:at] + chance.choice(_ADDRESS_PARTS) + path[at:]
    if chance.random() < 0.3:
        path += chance.choice(_QUERIES)
    if chance.random() < 0.05:
        path = chance.choice(_VALUES) or b"/"
    headers = {b"Host": b"localhost", b"Content-Type": b"application/json", b"Content-Length": b"%d" % len(body)}
    for _ in range(chance.choice([0, 1, 1, 2])):
        headers[chance.choice([b"Host", b"Origin", chance.choice(_HEADERS)])] = chance.choice(_VALUES)
    if chance.random() < 0.03:
        del headers[b"Host"]
    lines = [name + b": " + value for name, value in headers.items()]
    return b"\r\n".join([method + b" " + path + b" HTTP/1.1", *lines, b"Connection: close", b"", body])


def _changed_bytes(good: bytes, chance: random.Random) -> bytes:
    """Return a request with some bytes changed; its length is right most of the time."""
    head, _, body = good.partition(b"\r\n\r\n")
    made = bytearray(body)
    for _ in range(chance.choice([1, 1, 2, 6])):
        at = chance.randrange(len(made)) if made else 0
        kind = chance.randrange(4)
        if kind == 0 and made:
            made[at] = chance.randrange(256)
        elif kind == 1:
            del made[at : at + chance.randint(1, 30)]
        elif kind == 2:
            made[at:at] = chance.choice(_INSERTED)
        else:
            made[at:at] = made[:at]
    lines = bytearray(head.rpartition(b"\r\nContent-Length")[0])
    if chance.random() < 0.3:
        lines[chance.randrange(len(lines))] = chance.randrange(256)
    length = len(made) if chance.random() > 0.05 else chance.choice([0, len(made) // 2, 2**70, -1])
    return bytes(lines) + f"\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode() + bytes(made)
