"""Work for one or several instances: users create, extend, complete and recall episodes concurrently.

    python -m mnemoscope.examples.episodic_memory.workload --url http://127.0.0.1:8080 --seconds 30

Each user always goes to the same instance, chosen by a hash of the user's id. The work continues after any answer;
failures are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import signal
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from .corpus import Task, tasks
from .recall import PATHS

_USERS = 500
_TASKS = 150
_RECALLS = 4
_BATCH = 3
_TIMEOUT = 10.0
_SUCCESSES = 0.9


@dataclass(slots=True)
class Progress:
    """The counts so far. `failed` counts 5xx answers and lost connections, `refused` every 4xx."""

    created: int = 0
    completed: int = 0
    recalled: int = 0
    consolidated: int = 0
    backed_up: int = 0
    refused: int = 0
    failed: int = 0


OnProgress = Callable[[Progress], None]


async def drive(
    urls: Sequence[str],
    stop: asyncio.Event,
    on_progress: OnProgress | None = None,
    *,
    rate: float = 10.0,
    concurrency: int = 8,
    consolidate_every: float = 2.0,
    backup_every: float = 15.0,
    token: str = "",
    seed: int = 0,
) -> Progress:
    """Drive all `urls` until `stop` is set; return the counts.

    Args:
        urls: base addresses of the instances; users are split among them.
        stop: ends the work after the episodes under way.
        on_progress: called with the totals after each episode.
        rate: episodes a second at most, over all instances.
        concurrency: episodes under way at most, over all instances.
        consolidate_every: seconds between consolidations; 0 leaves them to the service.
        backup_every: seconds between backups; 0 leaves them to the service.
        token: bearer token to send, if the service wants one.
        seed: makes the choice of users and tasks repeatable.

    Raises:
        ValueError: there is no url.
    """
    if not urls:
        raise ValueError("give at least one url")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(
        timeout=_TIMEOUT, headers=headers, limits=httpx.Limits(max_connections=None)
    ) as client:
        driver = _Driver(client, urls, stop, on_progress or (lambda _progress: None), random.Random(seed))
        async with asyncio.TaskGroup() as group:
            for path, seconds, counter in (
                ("/consolidate", consolidate_every, "consolidated"),
                ("/backup", backup_every, "backed_up"),
            ):
                if seconds:
                    group.create_task(driver.repeat(path, seconds, counter))
            await driver.run(rate, concurrency)
    return driver.progress


class _Driver:
    def __init__(
        self,
        client: httpx.AsyncClient,
        urls: Sequence[str],
        stop: asyncio.Event,
        report: OnProgress,
        chance: random.Random,
    ) -> None:
        self._client = client
        self._urls = [url.rstrip("/") for url in urls]
        self._stop = stop
        self._report = report
        self._chance = chance
        self.progress = Progress()

    async def run(self, rate: float, concurrency: int) -> None:
        """Start `rate` episodes a second, at most `concurrency` concurrently, and wait for the last."""
        loop = asyncio.get_running_loop()
        permits = asyncio.Semaphore(concurrency)
        begun = loop.time()
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                # Due times count from the start, so the driver catches up after a slow moment, by one second at most.
                begun = max(begun, loop.time() - number / rate - 1)
                if await self._stopped_within(begun + number / rate - loop.time()):
                    return
                await permits.acquire()
                group.create_task(self._episode()).add_done_callback(lambda _task: permits.release())

    async def repeat(self, path: str, seconds: float, counter: str) -> None:
        """Post to every instance at an interval."""
        while not await self._stopped_within(seconds):
            for url in self._urls:
                if await self._send("POST", url + path) is not None:
                    setattr(self.progress, counter, getattr(self.progress, counter) + 1)

    async def _episode(self) -> None:
        user = f"user-{self._chance.randrange(_USERS)}"
        base = self._urls[zlib.crc32(user.encode()) % len(self._urls)]
        task = self._chance.choice(tasks()[:_TASKS])
        await self._live(base, user, task)
        paths = self._chance.sample(PATHS, len(PATHS)) + ["blended"] * (_RECALLS - len(PATHS))
        for path in paths:
            query = {"q": self._chance.choice(task.sentences), "path": path, "k": "5", "user": user}
            if await self._send("GET", f"{base}/recall", params=query) is not None:
                self.progress.recalled += 1
        self._report(self.progress)

    async def _live(self, base: str, user: str, task: Task) -> None:
        new = {"user": user, "description": task.description, "tags": [task.topic]}
        episode = await self._send("POST", f"{base}/episodes", json=new)
        if episode is None:
            return
        self.progress.created += 1
        address = f"{base}/episodes/{episode['id']}"
        steps = task.steps(self._chance)
        for start in range(0, len(steps), _BATCH):
            batch = [asdict(step) for step in steps[start : start + _BATCH]]
            await self._send("POST", f"{address}/steps", json={"steps": batch})
        outcome = "success" if self._chance.random() < _SUCCESSES else "failure"
        if await self._send("POST", f"{address}/complete", json={"outcome": outcome}) is not None:
            self.progress.completed += 1

    async def _send(self, method: str, url: str, **arguments: Any) -> Any:
        """Return the document of the answer, or None if the request failed."""
        try:
            response = await self._client.request(method, url, **arguments)
        except httpx.HTTPError:
            self.progress.failed += 1
            return None
        if response.is_success:
            return response.json()
        if response.status_code >= 500:
            self.progress.failed += 1
        else:
            self.progress.refused += 1
        return None

    async def _stopped_within(self, seconds: float) -> bool:
        if seconds > 0:
            try:
                await asyncio.wait_for(self._stop.wait(), seconds)
            except TimeoutError:
                return False
        return self._stop.is_set()


def main() -> int:
    """Drive the instances for some seconds, or until Ctrl-C; return 1 if nothing succeeded."""
    parser = argparse.ArgumentParser(prog="workload", description="Drive instances of the episodic memory service.")
    parser.add_argument("--url", action="append", required=True, help="an instance; may be given several times")
    parser.add_argument("--seconds", type=float, default=30, help="how long (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=10, help="episodes a second (default: %(default)s)")
    parser.add_argument("--concurrency", type=int, default=8, help="concurrent episodes (default: %(default)s)")
    parser.add_argument("--token", default="", help="bearer token")
    options = parser.parse_args()
    if min(options.seconds, options.rate, options.concurrency) <= 0:
        parser.error("seconds, rate and concurrency must be above zero")
    progress = asyncio.run(_drive_for(options))
    print(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in asdict(progress).items()))
    return 0 if progress.created or progress.recalled else 1


async def _drive_for(options: argparse.Namespace) -> Progress:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.call_later(options.seconds, stop.set)
    return await drive(options.url, stop, rate=options.rate, concurrency=options.concurrency, token=options.token)


if __name__ == "__main__":
    sys.exit(main())
