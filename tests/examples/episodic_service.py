"""The reference service in its own process, and its metrics as numbers."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx
from prometheus_client.parser import text_string_to_metric_families

from mnemoscope.instrumentation.catalog import Kind, Metric

T = TypeVar("T")
MODULE = "mnemoscope.examples.episodic_memory"
# Jobs of the service's own would blur what a test measures.
QUIET = ("--consolidate-every=0", "--reconcile-every=0", "--backup-every=0")
SENTENCES = (
    "A class definition defines a class object and its inheritance list.",
    "The yield expression is used when defining a generator function.",
    "Integers have unlimited precision in arithmetic and bitwise operations.",
    "Import statements search for a module and bind its name locally.",
    "Slicing selects a range of items in a sequence such as a string or list.",
    "A coroutine suspends itself at await and another task may run meanwhile.",
)


def until(wanted: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Return the first true result of `wanted`; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = wanted()
        if found:
            return found
        assert time.monotonic() < deadline, f"still not: {wanted}"
        time.sleep(0.02)


def lasting(check: Callable[[float], None], *seconds: float) -> None:
    """Call `check` with a duration; after a failure, try again with the next, longer one.

    The check has to happen within the duration, and a busy machine may be too slow for a short one.
    """
    for number in seconds[:-1]:
        try:
            check(number)
        except (AssertionError, httpx.TransportError):
            continue
        return
    check(seconds[-1])


class Metrics:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self._samples = [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]
        self.names = {name for name, _, _ in self._samples}

    def has(self, metric: Metric) -> bool:
        """Return whether there is a series of the metric."""
        return any(name in self.names for name in metric.sample_names())

    def value(self, metric: Metric, part: str = "", **labels: str) -> float:
        """Return the sum of the series with these labels; `part` is sum, count or bucket of a histogram."""
        assert (metric.kind is Kind.HISTOGRAM) == bool(part)
        wanted = f"{metric.prometheus_name()}_{part}" if part else metric.prometheus_name()
        return sum(
            value
            for name, has, value in self._samples
            if name == wanted and all(has.get(label) == text for label, text in labels.items())
        )


class Window:
    """The changes between two scrapes."""

    def __init__(self, before: Metrics, after: Metrics) -> None:
        self._before = before
        self._after = after

    def change(self, metric: Metric, part: str = "", **labels: str) -> float:
        """Return the increase of a counter, or of a part of a histogram."""
        return self._after.value(metric, part, **labels) - self._before.value(metric, part, **labels)

    def above(self, metric: Metric, bound: float, **labels: str) -> float:
        """Return the share of observations above a bucket bound, of those between the scrapes."""
        assert bound in metric.buckets
        count = self.change(metric, "count", **labels)
        assert count, f"nothing observed in {metric.name}"
        return 1 - self.change(metric, "bucket", le=str(float(bound)), **labels) / count


class Service:
    """One running instance. `options` are flags of its command line."""

    def __init__(self, data: Path, *options: str, wait: bool = True) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", MODULE, "--port=0", f"--data={data}", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.line = ""
        self.http = httpx.Client(timeout=120, trust_env=False)
        if wait:
            self.wait_until_serving()

    def wait_until_serving(self) -> None:
        """Read the line that the service prints when it serves."""
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        assert self.line.startswith("serving http://"), self.process.communicate()[1]
        self.http.base_url = httpx.URL(self.line.split()[1])

    @property
    def url(self) -> str:
        """Base address."""
        return str(self.http.base_url).rstrip("/")

    def __enter__(self) -> Service:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> int:
        """Stop the service with SIGTERM, as Kubernetes does; return its exit code."""
        self.http.close()
        self.process.terminate()
        try:
            self.process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode

    # API ------------------------------------------------------------------------------------------

    def create(self, description: str = SENTENCES[0], **fields: Any) -> int:
        """Create an episode; return its id."""
        answer = self.http.post("/episodes", json={"user": "ada", "description": description, **fields})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def complete(self, id: int, outcome: str = "success") -> httpx.Response:
        """Request the completion of an episode."""
        return self.http.post(f"/episodes/{id}/complete", json={"outcome": outcome})

    def live(self, count: int = 6) -> None:
        """Create and complete `count` episodes, with the SENTENCES in turn as descriptions."""
        for number in range(count):
            assert self.complete(self.create(SENTENCES[number % len(SENTENCES)])).is_success

    def recall(self, query: str = SENTENCES[0], path: str = "blended", **parameters: Any) -> list[dict[str, Any]]:
        """Recall; return the results."""
        answer = self.http.get("/recall", params={"q": query, "path": path, **parameters})
        assert answer.status_code == 200, answer.text
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    def faults(self, **switches: Any) -> None:
        """Switch these faults on, and all others off."""
        assert self.http.put("/faults", json=switches).status_code == 200

    def metrics(self) -> Metrics:
        """Return a scrape."""
        return Metrics(self.http.get("/metrics").text)

    def during(self, work: Callable[[], object]) -> Window:
        """Return the changes during `work`."""
        before = self.metrics()
        work()
        return Window(before, self.metrics())


def refusal(*options: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Return exit code and standard error of a service that must not start."""
    done = subprocess.run(
        [sys.executable, "-m", MODULE, *options], capture_output=True, text=True, timeout=300, check=False, env=env
    )
    assert done.stdout == ""
    return done.returncode, done.stderr
