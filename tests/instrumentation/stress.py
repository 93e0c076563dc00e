"""Threads, a signal handler, finalisers, scrapes and forks, all recording at the same time: `python stress.py SECONDS`.

It ends with the totals compared to what each recorder counted for itself, exit code 0 if all agree. A deadlock
ends it too: after three minutes more, every thread's stack is printed and the exit code is 1.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field

import mnemoscope as scope
from mnemoscope import catalog as m

SWITCH_SECONDS = 1e-6
SIGNAL_SECONDS = 0.002
FORK_SECONDS = 0.05
CHILD_RECORDINGS = 2_000
PATIENCE_SECONDS = 180
VALUE = 0.25  # its sums are exact, so that a torn read shows


@dataclass
class Counts:
    """What the recorders did; each recorder counts for itself."""

    threads: list[int] = field(default_factory=list)
    signals: int = 0
    finalisers: int = 0
    scrapes: int = 0
    children: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def expected(self) -> int:
        return sum(self.threads) + self.signals + self.finalisers


class Stress:
    """One run."""

    def __init__(self) -> None:
        self.registry = scope.Registry()
        self.counter = self.registry.counter(m.CACHE_STALE_READS, cache="stress")
        self.histogram = self.registry.histogram(m.LOCK_WAIT_DURATION, lock="stress", mode="read")
        self.probe = scope.index_write("stress", registry=self.registry)
        self.counts = Counts()
        self.done = threading.Event()

    def record(self) -> None:
        self.counter.inc()
        self.histogram.observe(VALUE)
        with self.probe:
            pass

    def thread(self) -> None:
        mine = 0
        while not self.done.is_set():
            for _ in range(100):
                self.record()
            mine += 100
        self.counts.threads.append(mine)

    def on_signal(self, _signal: int, _frame: object) -> None:
        self.record()
        self.counts.signals += 1

    def scrape(self) -> None:
        last = 0
        while not self.done.is_set():
            point = self.histogram.point()
            if point.sum != point.observations * VALUE:
                self.counts.faults.append(f"torn: sum {point.sum} of {point.observations} observations")
            if point.observations < last:
                self.counts.faults.append(f"went back from {last} to {point.observations}")
            last = point.observations
            self.registry.snapshot()
            self.counts.scrapes += 1

    def finalise(self) -> None:
        stress = self

        class Recorder:
            def __init__(self) -> None:
                self.cycle = self

            def __del__(self) -> None:
                stress.record()
                stress.counts.finalisers += 1

        for _ in range(50):
            Recorder()
        gc.collect()

    def fork(self) -> None:
        child = os.fork()
        if child == 0:
            signal.setitimer(signal.ITIMER_REAL, 0)
            gc.disable()
            for _ in range(CHILD_RECORDINGS):
                self.record()
            point = self.histogram.point()
            good = point.observations == self.counter.point().value == CHILD_RECORDINGS
            os._exit(0 if good else 1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self.counts.children += 1
        if code:
            self.counts.faults.append(f"a forked child ended with {code}")

    def run(self, seconds: float) -> Counts:
        sys.setswitchinterval(SWITCH_SECONDS)
        faulthandler.dump_traceback_later(seconds + PATIENCE_SECONDS, exit=True)
        workers = [threading.Thread(target=self.thread) for _ in range(4)] + [threading.Thread(target=self.scrape)]
        for worker in workers:
            worker.start()
        signal.signal(signal.SIGALRM, self.on_signal)
        signal.setitimer(signal.ITIMER_REAL, SIGNAL_SECONDS, SIGNAL_SECONDS)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.finalise()
            self.fork()
            time.sleep(FORK_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.done.set()
        for worker in workers:
            worker.join()
        gc.collect()
        faulthandler.cancel_dump_traceback_later()
        self.compare()
        return self.counts

    def compare(self) -> None:
        expected = self.counts.expected
        writes = sum(
            getattr(point, "observations", 0)
            for family in self.registry.snapshot().families
            if family.metric is m.INDEX_WRITE_DURATION
            for point in family.points
        )
        for name, found in (
            ("counter", self.counter.point().value),
            ("histogram", self.histogram.point().observations),
            ("probe", writes),
        ):
            if found != expected:
                self.counts.faults.append(f"{name}: {found} recorded, {expected} expected")


def main() -> int:
    counts = Stress().run(float(sys.argv[1]))
    print(
        f"{counts.expected} recordings ({counts.signals} in signal handlers, {counts.finalisers} in finalisers), "
        f"{counts.scrapes} scrapes, {counts.children} forked children, {len(counts.faults)} faults"
    )
    for fault in counts.faults[:20]:
        print(fault)
    return 1 if counts.faults else 0


if __name__ == "__main__":
    sys.exit(main())
