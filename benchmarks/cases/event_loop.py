"""The time for which a scrape of 40,000 lines blocks an event loop.

A real uvicorn serves the application. A client in another process fetches the page as Prometheus does, with gzip.
Meanwhile a task is scheduled each millisecond and records its delay. The delay is measured in CPU time of the process,
because on a shared machine the wall clock includes the time of other processes.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any

from ..percall import Clock, Sampler, scaled
from .load import BOUNDS, children, our_metric

LINES = scaled(40_000)
HISTOGRAMS = LINES // (len(BOUNDS) + 3) + 1
TICK = 0.001
IDLE_SECONDS = 0.3
MILLISECONDS = 1e3

Record = Callable[[], None]

# Reads "port encoding" from a line, fetches the page, and tells how many lines it has; port 0 only waits.
_CLIENT = f"""
import gzip, http.client, sys, time
for line in sys.stdin:
    port, encoding = line.split()
    if port == "0":
        time.sleep({IDLE_SECONDS})
        print(0, flush=True)
        continue
    connection = http.client.HTTPConnection("127.0.0.1", int(port))
    connection.request("GET", "/metrics", headers={{"Accept": "text/plain", "Accept-Encoding": encoding}})
    response = connection.getresponse()
    page = response.read()
    connection.close()
    print("done", flush=True)
    if response.getheader("Content-Encoding") == "gzip":
        page = gzip.decompress(page)
    print(page.count(b"\\n") if response.status == 200 else -response.status, flush=True)
"""


def idle_wall() -> Sampler:
    """Send no request: the result is the delay that the machine itself causes."""
    return _longest_stall(*_ours(), fetch=False, clock=time.perf_counter)


def ours_wall() -> Sampler:
    return _longest_stall(*_ours(), clock=time.perf_counter)


def ours() -> Sampler:
    return _longest_stall(*_ours())


def ours_without_gzip() -> Sampler:
    return _longest_stall(*_ours(), encoding="identity")


def prometheus() -> Sampler:
    from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, make_asgi_app

    disable_created_metrics()  # ours writes none either
    registry = CollectorRegistry()
    histogram = Histogram("shard_duration_seconds", "Shards", ["shard"], buckets=BOUNDS, registry=registry)
    series = [histogram.labels(name) for name in children(HISTOGRAMS)]

    def record() -> None:
        for child in series:
            child.observe(0.02)

    return _longest_stall(make_asgi_app(registry), record)


def aioprometheus() -> Sampler:
    from aioprometheus import Histogram, Registry, render

    registry = Registry()
    histogram = Histogram("shard_duration_seconds", "Shards", buckets=list(BOUNDS), registry=registry)
    names = children(HISTOGRAMS)

    def record() -> None:
        for name in names:
            histogram.observe({"shard": name}, 0.02)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        # What its own handler for Starlette does.
        content, headers = render(registry, ["text/plain"])
        fields = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": content})

    return _longest_stall(application, record)


def _ours() -> tuple[Callable[..., Any], Record]:
    import mnemoscope as scope
    from mnemoscope.instrumentation import Registry

    registry = Registry(max_label_sets=HISTOGRAMS)
    metric = our_metric("shard.duration", BOUNDS)
    series = [registry.histogram(metric, shard=name) for name in children(HISTOGRAMS)]

    def record() -> None:
        for child in series:
            child.observe(0.02)

    return scope.asgi_app(registry=registry), record


def _longest_stall(
    application: Callable[..., Any],
    record: Record,
    *,
    fetch: bool = True,
    encoding: str = "gzip",
    clock: Clock = time.process_time,
) -> Sampler:
    """Return the longest delay of the ticking task in milliseconds; each series has a new observation."""

    def sample() -> float:
        record()
        return asyncio.run(_serve_once(application, fetch, encoding, clock)) * MILLISECONDS

    return sample


async def _serve_once(application: Callable[..., Any], fetch: bool, encoding: str, clock: Clock) -> float:
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="error", lifespan="off"))
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CLIENT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert client.stdin is not None
    assert client.stdout is not None
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(TICK)
        port = server.servers[0].sockets[0].getsockname()[1] if fetch else 0
        ticking = asyncio.create_task(_note_delays(clock))
        client.stdin.write(f"{port} {encoding}\n".encode())
        await client.stdout.readline()
        worst = await _end_of(ticking)
        if fetch and (lines := int(await client.stdout.readline())) < LINES:
            raise RuntimeError(f"the page has {lines} lines; {LINES} were expected")
        return worst
    finally:
        client.stdin.close()
        server.should_exit = True
        await asyncio.gather(serving, client.wait())


_delays: list[float] = []


async def _note_delays(clock: Clock) -> None:
    _delays.clear()
    while True:
        before = clock()
        await asyncio.sleep(TICK)
        _delays.append(max(0.0, clock() - before - TICK))


async def _end_of(ticking: asyncio.Task[None]) -> float:
    await asyncio.sleep(2 * TICK)  # let the ticker note a stall that has just ended
    ticking.cancel()
    return max(_delays)
