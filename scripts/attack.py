"""Attack a server of this machine for a while, and report how a good client fared meanwhile.

    python scripts/attack.py http://127.0.0.1:8000 --pid PID --seconds 600

Every attack needs no more than the address. A report is a JSON object: latencies of ``/info`` in seconds, the
server's memory in MB, its open descriptors before, at most and after.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import requests
import typer

POLL_S, SETTLED_S = 0.1, 3.0
HALF_OPEN = 1000
MB = 1024**2

Attack = Callable[[str, int], Awaitable[None]]


async def _send(host: str, port: int, *pieces: bytes, pause_s: float = 0.0, wait_s: float = 5.0) -> bytes:
    """Open a connection, send, and read what comes back within a while."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if pause_s:
                await asyncio.sleep(pause_s)
        return await asyncio.wait_for(reader.read(4096), wait_s) if wait_s else b""
    finally:
        writer.transport.abort()


def _post(path: str, kind: str, body: bytes, *, method: str = "POST") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def endless_value(host: str, port: int) -> None:
    """Return a header whose value does not end."""
    await _send(host, port, b"GET /info/ HTTP/1.1\r\nX: ", *[b"a" * MB] * 200)


async def endless_headers(host: str, port: int) -> None:
    """Return the headers without end."""
    await _send(host, port, b"GET /info/ HTTP/1.1\r\n", *[b"a: b\r\n" * 100_000] * 100)


async def endless_address(host: str, port: int) -> None:
    """Return an address that does not end."""
    await _send(host, port, b"GET /", *[b"a" * MB] * 100)


async def endless_trailers(host: str, port: int) -> None:
    """Return what may follow a body in chunks, without end."""
    head = b"POST /train/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    await _send(host, port, head, *[b"a: b\r\n" * 100_000] * 50, b"x: ", *[b"a" * MB] * 50)


async def tiny_chunks(host: str, port: int) -> None:
    """Return a body of chunks of one byte."""
    head = b"PUT /session/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    await _send(host, port, head + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n" * 50_000] * 50)


async def half_open(host: str, port: int) -> None:
    """Return a connection that never says what it wants."""
    heads = (b"", b"G", b"GET /info/ HTTP/1.1\r\nHost: localhost\r\n")
    await _send(host, port, random.choice(heads), wait_s=60)  # noqa: S311


async def slow_head(host: str, port: int) -> None:
    """Return a byte of a head each second."""
    await _send(host, port, *[bytes([byte]) for byte in b"GET /info/ HTTP/1.1\r\nHost: localh"], pause_s=1)


async def slow_body(host: str, port: int) -> None:
    """Return a byte of a body each second."""
    head = _post("/session/", "multipart/form-data; boundary=x", b"", method="PUT")
    await _send(host, port, head.replace(b"Length: 0", b"Length: 90000"), *[b"x"] * 60, pause_s=1)


async def nested_json(host: str, port: int) -> None:
    """Return the JSON that is deep, wide, or a number of a million digits."""
    bodies = (b"[" * 8 * MB, b'{"a":' * MB, b"[" + b"[],{}," * 300_000 + b"0]", b'{"a":' + b"9" * MB + b"}")
    kind = random.choice(["application/json", "application/vnd.x+json"])  # noqa: S311
    await _send(host, port, _post("/activelearning/first", kind, random.choice(bodies)), wait_s=30)  # noqa: S311


async def nested_field(host: str, port: int) -> None:
    """Return the same within a form."""
    value = random.choice([b"[" * 900_000, b"[" + b"[]," * 300_000 + b"0]", b'{"a":' * 150_000])  # noqa: S311
    body = b'--x\r\nContent-Disposition: form-data; name="params"\r\n\r\n' + value + b"\r\n--x--\r\n"
    await _send(host, port, _post("/infer/camus", "multipart/form-data; boundary=x", body), wait_s=30)


async def many_parts(host: str, port: int) -> None:
    """Return a form of many files."""
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.nii.gz"\r\n\r\n%s\r\n'
    body = part % bytes(1200 * 1024) * 40 + part % b"" * 2000 + b"--x--\r\n"
    await _send(
        host, port, _post("/session/", "multipart/form-data; boundary=x", body, method="PUT"), wait_s=30
    )


async def large_upload(host: str, port: int) -> None:
    """200 MB of noise, many of which arrive at once."""
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.nii.gz"\r\n\r\n'
    head = _post("/session/", "multipart/form-data; boundary=x", b"", method="PUT")
    sized = head.replace(b"Length: 0", b"Length: %d" % (200 * MB + len(part)))
    await _send(host, port, sized + part, *[os.urandom(MB)] * 200, wait_s=30)


async def slow_reader(host: str, port: int) -> None:
    """Return a large answer, asked for many times, that nobody takes."""
    await _send(
        host, port, b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 12, wait_s=0, pause_s=30
    )


async def pipelined(host: str, port: int) -> None:
    """Return thousands of requests in one piece."""
    await _send(host, port, b"GET /info/ HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5000)


async def many_parameters(host: str, port: int) -> None:
    """Return thousands of parameters in an address."""
    await _send(host, port, b"GET /info/?" + b"a&" * 4000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")


async def noise(host: str, port: int) -> None:
    """Return the bytes that are no HTTP."""
    kinds = (os.urandom(4096), b"\x16\x03\x01" + os.urandom(500), b"\r\n" * 99_000)
    await _send(host, port, random.choice(kinds))  # noqa: S311


ATTACKS: dict[Attack, int] = {
    **dict.fromkeys((endless_value, endless_headers, endless_address, endless_trailers, tiny_chunks), 2),
    **{half_open: HALF_OPEN, slow_head: 50, slow_body: 50, slow_reader: 20},
    **dict.fromkeys((nested_json, nested_field, many_parts, large_upload), 2),
    **dict.fromkeys((pipelined, many_parameters, noise), 1),
}
"""Each attack, and by how many at once."""


async def _again_and_again(attack: Attack, host: str, port: int, until: float) -> None:
    while time.monotonic() < until:
        try:
            await asyncio.wait_for(attack(host, port), max(0.1, until - time.monotonic()))
        except (OSError, TimeoutError):
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.01)


async def _attack(names: list[str], host: str, port: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    attackers = [
        _again_and_again(attack, host, port, until)
        for attack, count in ATTACKS.items()
        if not names or attack.__name__ in names
        for _ in range(count)
    ]
    await asyncio.gather(*attackers)


def run_attacks(names: list[str], host: str, port: int, seconds: float) -> None:
    """Attack for a while; in a process of its own."""
    asyncio.run(_attack(names, host, port, seconds))


class Watched:
    """The server as its operating system sees it.

    Parameters
    ----------
    pid : int
        Its process.
    """

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc", str(pid))

    def memory_mb(self) -> int:
        """Return what it holds in memory."""
        lines = (self._folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))

    def descriptors(self) -> int:
        """Return how many files and connections it has open."""
        return len(list((self._folder / "fd").iterdir()))


def measure(url: str, pid: int, seconds: float, names: list[str]) -> dict[str, object]:
    """Attack, ask for ``/info`` all the time, and report."""
    parts = urlsplit(url)
    watched = Watched(pid)
    before, latencies, failures = watched.descriptors(), [], 0
    memory = descriptors = 0
    arguments = (names, parts.hostname, parts.port, seconds)
    attackers = multiprocessing.get_context("spawn").Process(target=run_attacks, args=arguments)
    attackers.start()
    end = time.monotonic() + seconds + 2
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            requests.get(f"{url}/info/", timeout=30).raise_for_status()
        except requests.RequestException:
            failures += 1
        latencies.append(time.monotonic() - began)
        memory, descriptors = max(memory, watched.memory_mb()), max(descriptors, watched.descriptors())
        time.sleep(POLL_S)
    attackers.join()
    time.sleep(SETTLED_S)
    latencies.sort()
    return {
        "requests": len(latencies),
        "failures": failures,
        "median_s": round(latencies[len(latencies) // 2], 4),
        "p99_s": round(latencies[int(len(latencies) * 0.99)], 4),
        "slowest_s": round(latencies[-1], 4),
        "memory_mb": {"at_most": memory, "after": watched.memory_mb()},
        "descriptors": {"before": before, "at_most": descriptors, "after": watched.descriptors()},
    }


def main(
    url: Annotated[str, typer.Argument(help="A server of this machine.")],
    pid: Annotated[int, typer.Option(help="Its process.")],
    seconds: Annotated[float, typer.Option(help="How long.")] = 600,
    only: Annotated[list[str] | None, typer.Option(help="Attacks by name; else all.")] = None,
) -> None:
    """Attack a server of this machine and report how a good client fared."""
    sys.stdout.write(json.dumps(measure(url, pid, seconds, only or []), indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
