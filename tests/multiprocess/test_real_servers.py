"""gunicorn and uvicorn with several workers, killed in mid-load: a scrape of any worker is the whole service's."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from mp_helpers import end, until, value

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.recording.registry import Registry

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
GUNICORN = (sys.executable, "-m", "gunicorn", "mp_service:application", "--workers", "3", "--threads", "4")
SERVERS = {
    "gunicorn": (*GUNICORN, "--bind", "127.0.0.1:{port}"),
    "gunicorn --preload": (*GUNICORN, "--preload", "--bind", "127.0.0.1:{port}"),
    "uvicorn": (
        *(sys.executable, "-m", "uvicorn", "mp_service:asgi", "--workers", "3", "--port", "{port}"),
        *("--log-level", "warning"),
    ),
}


@dataclass
class Service:
    port: int
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            body = response.read().decode()
            if response.status != 200:
                raise ConnectionError(f"{response.status}: {body}")
            return body
        finally:
            connection.close()

    def try_get(self, path: str) -> str:
        """Return the answer; empty if the worker of the request was killed."""
        try:
            return self.get(path)
        except (OSError, http.client.HTTPException):
            return ""

    def samples(self) -> dict[str, float]:
        """Return a scrape of any worker."""
        text = until(lambda: self.try_get("/metrics"), "a scrape")
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(number) for name, number in lines}

    def done(self) -> float:
        return self.samples().get(DONE, 0)

    def workers(self) -> set[int]:
        """Return the workers that answer now."""
        return {int(text.split()[0]) for text in (self.try_get("/who") for _ in range(12)) if text}


DONE = catalog.EPISODE_CREATED.prometheus_name()
IN_FLIGHT = catalog.COMPLETION_IN_FLIGHT.prometheus_name()
LIMIT = catalog.COMPLETION_LIMIT.prometheus_name()
OBSERVED = f'{catalog.EPISODE_STEP_FLUSH_DURATION.prometheus_name()}_count{{outcome="ok"}}'


Start = Callable[[str], AbstractContextManager[Service]]


@pytest.fixture
def start(tmp_path: Path, free_port: int) -> Start:
    @contextmanager
    def run(server: str) -> Iterator[Service]:
        environment = {
            **os.environ,
            "MNEMOSCOPE_MULTIPROC_DIR": str(tmp_path / "cells"),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH")))),
        }
        command = [word.format(port=free_port) for word in SERVERS[server]]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, cwd=HERE, stdout=log, stderr=log)
            service = Service(free_port, process)
            try:
                until(lambda: service.try_get("/who"), "the first answer")
                until(lambda: len(service.workers()) == 3, "three workers")
                yield service
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    return run


@dataclass
class Load:
    """Requests from several threads, and the process that gave each answer."""

    service: Service
    answers: list[int] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)
    asked: int = 0

    def __enter__(self) -> Load:
        self.threads = [threading.Thread(target=self._run) for _ in range(3)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def at_work(self) -> set[int]:
        """Return the workers with several answers."""
        pids = list(self.answers)
        return {pid for pid in pids if pids.count(pid) > 20}

    def _run(self) -> None:
        while not self.stopped.is_set():
            self.asked += 1
            answer = self.service.try_get("/work")
            if answer:
                self.answers.append(int(answer))


@pytest.mark.parametrize("server", SERVERS)
def test_no_counter_goes_back_when_workers_are_killed_under_load(server: str, start: Start) -> None:
    with start(server) as service:
        killed: set[int] = set()
        seen: list[dict[str, float]] = []
        with Load(service) as load:
            for _ in range(3):
                victim = until(lambda: load.at_work() - killed, "a worker that has worked").pop()
                for _ in range(10):
                    seen.append(service.samples())
                os.kill(victim, signal.SIGKILL)
                killed.add(victim)
                until(lambda gone=victim: gone not in service.workers(), "the worker is gone")
        seen.append(service.samples())

        for name in (DONE, OBSERVED):
            values = [sample[name] for sample in seen if name in sample]
            assert values == sorted(values)
            # Answered requests were recorded before. Others: one request of each of this test's threads at each kill.
            until(lambda name=name: service.samples()[name] >= len(load.answers), "no answered request is lost")
            assert service.samples()[name] <= load.asked + len(load.threads)


@pytest.mark.parametrize("server", SERVERS)
def test_what_was_once_shown_stays_though_every_worker_is_killed(server: str, start: Start) -> None:
    with start(server) as service:
        for _ in range(30):
            service.get("/work")
        until(lambda: service.done() == 30, "all work is shown")
        first = service.workers()
        for worker in first:
            os.kill(worker, signal.SIGKILL)
        until(lambda: (now := service.workers()) and not now & first, "new workers answer")

        assert service.done() == 30
        service.get("/work")
        until(lambda: service.done() == 31, "new work is added to the old")


def test_in_flight_work_goes_with_its_worker(start: Start) -> None:
    with start("gunicorn") as service:
        hanging = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
        hanging.request("GET", "/hang")
        worker = int(hanging.getresponse().read1(20))
        until(lambda: service.samples().get(IN_FLIGHT) == 1, "the hanging completion is in flight")

        os.kill(worker, signal.SIGKILL)

        until(lambda: not service.samples().get(IN_FLIGHT), "it is in flight no more")
        hanging.close()


def test_a_master_that_loaded_the_application_counts_in_no_gauge(start: Start, tmp_path: Path) -> None:
    with start("gunicorn --preload") as service:
        assert service.get("/who").split()[1] == str(service.process.pid), "the master made the application"

        def all_have_worked() -> bool:
            service.get("/work")
            return len(list((tmp_path / "cells").glob("*.cells"))) == 4

        until(all_have_worked, "master and workers have published")

        until(lambda: service.samples()[LIMIT] == 60, "three workers with a limit of 20 each")

        assert {service.samples()[LIMIT] for _ in range(10)} == {60}


def test_a_graceful_end_loses_nothing(start: Start, tmp_path: Path) -> None:
    with start("gunicorn") as service:
        for _ in range(20):
            service.get("/work")
        service.process.terminate()
        service.process.wait(20)

    reader = Registry()
    assert scope.share_directory(tmp_path / "cells", registry=reader)
    assert value(reader, catalog.EPISODE_CREATED) == 20
    end(reader)
