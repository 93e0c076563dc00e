"""A signal handler's exception, at any moment, leaves a lock either free or held by a block that is left next.

What remains is an exception exactly on entry of `__exit__` or `release`, before they can do anything. A plain lock of
`threading` has no such moment, because its `__exit__` is not written in Python.
"""

from __future__ import annotations

import dis
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import get_ident
from types import CodeType, FrameType
from typing import Any

import pytest
from interrupts import Interrupt, signalled_at
from thread_samples import PATIENCE, read, running, until

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.locks.watch.holders import tracker
from mnemoscope.instrumentation.locks.watch.waits import under_way
from mnemoscope.instrumentation.recording.registry import Registry

pytestmark = pytest.mark.slow

ENTRIES = {"__exit__", "release", "release_read", "release_write", "_release"}
SIGNALS = 4000
MANY = 300
"""More uses than there is time for before a signal."""


@dataclass
class Kind:
    """A kind of lock: how to make one, and one use of it as a context manager."""

    make: Callable[[Registry], Any]
    use: Callable[[Any], Any] = lambda lock: lock
    held: Callable[[Any], bool] = lambda lock: bool(lock.locked())
    release: Callable[[Any], None] = lambda lock: lock.release()
    levels: int = 1


KINDS = {
    "threading": Kind(lambda _: threading.Lock()),
    "Lock": Kind(lambda registry: scope.Lock("a", registry=registry)),
    "RLock": Kind(
        lambda registry: scope.RLock("a", registry=registry), held=lambda lock: bool(lock._is_owned()), levels=3
    ),
    "reading": Kind(
        lambda registry: scope.RWLock("a", registry=registry),
        lambda lock: lock.read(),
        held=lambda lock: lock._reads(get_ident()) is not None,
        release=lambda lock: lock.release_read(),
        levels=2,
    ),
    "writing": Kind(
        lambda registry: scope.RWLock("a", registry=registry),
        lambda lock: lock.write(),
        held=lambda lock: lock._writes(get_ident()) is not None,
        release=lambda lock: lock.release_write(),
        levels=2,
    ),
    "observed": Kind(lambda registry: scope.observe_lock(threading.Lock(), "a", registry=registry)),
    "observed RLock": Kind(
        lambda registry: scope.observe_lock(threading.RLock(), "a", registry=registry),
        held=lambda lock: bool(lock._is_owned()),
        levels=3,
    ),
}


def entry(code: CodeType) -> set[int]:
    return {step.offset for step in dis.get_instructions(code) if step.opname == "RESUME"}


def nested(block: Any, levels: int) -> None:
    with block:
        if levels > 1:
            nested(block, levels - 1)


@pytest.fixture(params=["off", "on"])
def order(request: pytest.FixtureRequest) -> Iterator[str]:
    scope.configure_locks(order=request.param)
    yield request.param
    scope.configure_locks(order="off")


@contextmanager
def often_switching() -> Iterator[None]:
    """Switch threads often, so that waits are short."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def alarm() -> Iterator[list[FrameType]]:
    """Let SIGALRM raise `Interrupt`, and return the frames that it has interrupted."""
    frames: list[FrameType] = []

    def handle(_number: int, frame: FrameType | None) -> None:
        assert frame is not None
        frames[:] = [frame]
        raise Interrupt

    before = signal.signal(signal.SIGALRM, handle)
    yield frames
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", KINDS)
def test_a_handler_may_raise_at_any_moment_but_on_entry_of_a_release(
    name: str, order: str, alarm: list[FrameType]
) -> None:
    kind, registry = KINDS[name], Registry()
    lock = kind.make(registry)
    block = kind.use(lock)
    uses = 0
    for number in range(SIGNALS):
        try:
            signal.setitimer(signal.ITIMER_REAL, 2e-5 + number % 23 * 2e-6)
            for _ in range(MANY):
                nested(block, kind.levels)
                uses += 1
            signal.setitimer(signal.ITIMER_REAL, 0)  # a signal gets lost at times, with plain locks too
        except Interrupt:
            pass
        if kind.held(lock):
            assert name != "threading"
            (frame,) = alarm
            assert frame.f_code.co_name in ENTRIES, f"{frame.f_code.co_qualname} at {frame.f_lasti}"
            assert frame.f_lasti in entry(frame.f_code), f"{frame.f_code.co_qualname} at {frame.f_lasti}"
            while kind.held(lock):
                kind.release(lock)
    with pytest.raises(RuntimeError):
        kind.release(lock)

    nested(block, kind.levels)
    assert not kind.held(lock)
    assert not list(tracker.holders), "nothing seems to be held"
    assert not under_way()
    if name != "threading":
        assert read(registry, catalog.LOCK_WAITERS) == 0
        assert read(registry, catalog.LOCK_HOLD_DURATION) >= uses
        assert read(registry, catalog.LOCK_WAIT_DURATION) >= uses


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["RLock", "reading", "writing", "observed RLock"])
def test_a_wait_may_be_interrupted_at_any_moment(name: str, order: str, alarm: list[FrameType]) -> None:
    kind, registry = KINDS[name], Registry()
    lock = kind.make(registry)
    block = kind.use(lock)
    other = lock.write() if name == "reading" else block
    stop = threading.Event()

    def compete() -> None:
        while not stop.is_set():
            with other:
                sum(range(200))

    with often_switching(), running(compete, compete):
        for number in range(SIGNALS // 10):
            try:
                signal.setitimer(signal.ITIMER_REAL, 2e-5 + number % 23 * 3e-5)
                for _ in range(MANY // 10):
                    nested(block, kind.levels)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupt:
                pass
            if kind.held(lock):
                (frame,) = alarm
                assert frame.f_code.co_name in ENTRIES, f"{frame.f_code.co_qualname} at {frame.f_lasti}"
                assert frame.f_lasti in entry(frame.f_code), f"{frame.f_code.co_qualname} at {frame.f_lasti}"
                while kind.held(lock):
                    kind.release(lock)
        stop.set()
    assert not kind.held(lock)
    assert not under_way()
    assert read(registry, catalog.LOCK_WAITERS) == 0
    nested(block, kind.levels)
    assert not list(tracker.holders)


STEPS = 4000


CASES = [
    *(("taken", name) for name in ("Lock", "RLock", "reading", "writing", "observed RLock")),
    *((act, name) for act in ("released", "given up") for name in ("RLock", "reading", "writing")),
]


@pytest.mark.parametrize(("act", "name"), CASES)
def test_no_point_at_which_a_handler_raises_leaves_a_state_that_is_none(name: str, act: str) -> None:
    kind, registry = KINDS[name], Registry()
    for step in range(1, STEPS):
        lock = kind.make(registry)
        block = kind.use(lock)
        other = lock.write() if name == "reading" else block
        if act == "taken":
            more = signalled_at(step, partial(nested, block, kind.levels))
        elif act == "released":
            block.acquire()
            with running(partial(nested, other, 1)):
                until(lambda: bool(under_way()))
                more = signalled_at(step, partial(kind.release, lock))
                empty(kind, lock)  # then the waiting thread goes on, or `running` fails
        else:
            with taken_elsewhere(other):
                more = signalled_at(step, partial(block.acquire, timeout=0.0001))
        empty(kind, lock)
        with pytest.raises(RuntimeError):
            kind.release(lock)
        assert other.acquire(False), "it is free"
        other.release()
        if not more:
            return
    raise AssertionError("more steps than there are")


@contextmanager
def taken_elsewhere(block: Any) -> Iterator[None]:
    """Hold it in another thread."""
    taken, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with block:
            taken.set()
            enough.wait(PATIENCE)

    with running(hold):
        taken.wait(PATIENCE)
        yield
        enough.set()


def empty(kind: Kind, lock: Any) -> None:
    """Release what this thread holds."""
    while kind.held(lock):
        kind.release(lock)
