"""How a lock of any kind, of threads or of tasks, says what happens to it.

A primitive reports four things, and none of them is written twice:

    meter = meter_of(registry, name, mode)            # the series of one lock name and mode, shared
    if order.tracking: order.taking(self, thread)     # asked, and ready to wait: a try-lock does not say so
    meter.took()                                      # got at once (a wait of zero) ...
    with meter.wait(self, Owner(thread)) as waiting:  # ... or had to wait; counted, seen by the watchdog
        waiting.taken = <the real wait>               # False: gave up at its limit; an exception: gave up early
    if order.tracking: order.took(self, thread)
    ...
    meter.held(seconds)                               # released
    if order.tracking: order.released(self, thread)

`self` is the lock as a `Subject` and `thread` is `get_ident()`; a lock of tasks says the task too:
`order.taking(self, thread, task)`, `Owner(thread, task)`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable
from time import perf_counter
from types import CodeType, FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from .. import catalog
from ..in_flight import InFlight
from ..registry import Bundle, Registry

if TYPE_CHECKING:
    from asyncio import Task

EXCLUSIVE, READ, WRITE = catalog.LOCK_WAIT.label("mode").values


class Owner(NamedTuple):
    """Who asks for, or holds, a lock.

    Attributes:
        thread: `get_ident()` of the thread; of a task, the one that runs its event loop.
        task: the task, for the locks of tasks; None for those of threads.
    """

    thread: int
    task: Task[Any] | None = None

    @property
    def key(self) -> object:
        """What holds: the task if there is one, else the thread."""
        return self.thread if self.task is None else self.task


class Subject(Protocol):
    """A lock, as the watchdog and the order of locks see it."""

    @property
    def name(self) -> str:
        """Its class: the name it was given, else the place where it was made."""

    @property
    def registry(self) -> Registry:
        """Where what befalls it is counted."""

    def blockers(self, mode: str) -> Iterable[Owner]:
        """Who has to let go before one who waits in `mode` can go on; nobody where that cannot be said.

        Called by another thread while the lock is in use: it must not wait, and may be a little out of date.
        """


class Waiting:
    """One wait, from the moment a lock was found taken; leaving the block ends it."""

    __slots__ = ("__weakref__", "meter", "owner", "since", "subject", "taken", "told")

    def __init__(self, meter: Meter, subject: Subject, owner: Owner) -> None:
        self.meter = meter
        self.subject = subject
        self.owner = owner
        self.taken = False
        self.told = ""  # the watchdog's: what this wait has been counted as
        self.since = perf_counter()

    def __enter__(self) -> Self:
        waits[id(self)] = self
        self.meter.waiters.enter(self)
        self.meter.contended.inc()
        on_wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        waited = perf_counter() - self.since
        del waits[id(self)]
        self.meter.waiters.leave(self)
        if self.taken:
            self.meter.waited(waited)
        elif error is None:
            self.meter.timeouts.inc()


waits: dict[int, Waiting] = {}
"""Every wait under way, by `id`."""


def _nobody_watches() -> None:
    """Until the watchdog is imported."""


on_wait: Callable[[], None] = _nobody_watches
"""Called at the beginning of each wait; the watchdog's."""


def no_task() -> Task[Any] | None:
    """What `current_task` is while no locks of tasks are imported."""
    return None


current_task: Callable[[], Task[Any] | None] = no_task
"""The task that runs in this thread, if any; set by the locks of tasks, so that nobody else imports asyncio."""


class Meter:
    """The series of one lock name and mode; make it through `meter_of`."""

    __slots__ = ("contended", "hold", "mode", "name", "registry", "timeouts", "wait_times", "waiters")

    def __init__(self, registry: Registry, name: str, mode: str) -> None:
        labels = {"lock": name, "mode": mode}
        self.registry = registry
        self.name = name
        self.mode = mode
        registry.declare(catalog.LOCK_DEADLOCKS, catalog.LOCK_STALLS, lock=name)  # seen at zero from the first lock on
        self.wait_times = registry.histogram(catalog.LOCK_WAIT, **labels)
        self.hold = registry.histogram(catalog.LOCK_HOLD, **labels)
        self.contended = registry.counter(catalog.LOCK_CONTENDED, **labels)
        self.timeouts = registry.counter(catalog.LOCK_TIMEOUTS, **labels)
        self.waiters = waiters_of(registry, name, mode)

    def wait(self, subject: Subject, owner: Owner) -> Waiting:
        """The wait of `owner` for `subject`: a block in which it really waits, and sets `taken`."""
        return Waiting(self, subject, owner)

    def took(self) -> None:
        """Say that the lock was got without a wait."""
        self.wait_times.observe(0.0)

    def waited(self, seconds: float) -> None:
        """Say that the lock was got after a wait; `Waiting` does it."""
        self.wait_times.observe(seconds)

    def held(self, seconds: float) -> None:
        """Say that the lock was let go after a hold of so long."""
        self.hold.observe(seconds)


_METER = Bundle("Lock", catalog.LOCK_WAIT, catalog.LOCK_WAIT.labels, Meter)


def meter_of(registry: Registry, name: str, mode: str = EXCLUSIVE) -> Meter:
    """The meter of a lock name and mode; locks of one name share it."""
    return registry.bound(_METER, name, mode)


def waiters_of(registry: Registry, name: str, mode: str) -> InFlight:
    """Who waits for a lock: now and at peak, both exported from here on."""
    waiters = registry.in_flight((catalog.LOCK_WAITERS, name, mode))
    registry.gauge(catalog.LOCK_WAITERS, lock=name, mode=mode).set_function(waiters.now)
    registry.gauge(catalog.LOCK_WAITERS_PEAK, lock=name, mode=mode).set_function(waiters.peak)
    return waiters


class Place(NamedTuple):
    """A place in the code, kept so cheaply that every acquisition can note its own; `str` tells file and line."""

    code: CodeType
    instruction: int

    def __str__(self) -> str:
        line = 0
        for start, end, number in self.code.co_lines():
            if start <= self.instruction < end and number is not None:
                line = number
                break
        return f"{self.code.co_filename}:{line} in {self.code.co_qualname}"


def in_locks(frame: FrameType) -> bool:
    """Whether a frame is of this package, or of the standard library's `threading`: not the code that wants a lock."""
    file = frame.f_code.co_filename
    if file not in _files and file.startswith(_OWN_FOLDER):
        _files.add(file)  # looking it up is quicker than comparing the beginning each time
    return file in _files


_OWN_FOLDER = os.path.dirname(__file__) + os.sep  # noqa: PTH120  # compared with a code object's file name, a string
_files: set[str] = {threading.Condition.wait.__code__.co_filename, contextlib.ExitStack.close.__code__.co_filename}


def pass_over(file: str) -> None:
    """Say that the code in this file of the standard library acquires for its caller, as this package's does."""
    _files.add(file)


def call_stack(frame: FrameType | None) -> tuple[str, ...]:
    """The places from the outermost call to `frame`, without those of this package."""
    places = []
    while frame is not None:
        if not in_locks(frame):
            places.append(str(Place(frame.f_code, frame.f_lasti)))
        frame = frame.f_back
    return tuple(reversed(places))


def creation_site() -> str:
    """`folder/file.py:line` of the code that makes a lock without a name: the class of such locks."""
    frame = sys._getframe(1)
    while in_locks(frame) and frame.f_back is not None:
        frame = frame.f_back
    folder, file = os.path.split(frame.f_code.co_filename)
    return f"{os.path.basename(folder)}/{file}:{frame.f_lineno}"  # noqa: PTH119  # strings in, string out


def who(thread: int | None, task: Task[Any] | None = None) -> str:
    """A thread, or a task and the thread that runs it, for a person to read."""
    name = next((t.name for t in threading.enumerate() if t.ident == thread), None) if thread is not None else None
    thread_name = f"thread {name or thread}"
    if task is None:
        return thread_name
    return f"task {task.get_name()}" if thread is None else f"task {task.get_name()} on {thread_name}"


def forget() -> None:
    """In a forked child: whoever waited was a thread of the parent."""
    waits.clear()
