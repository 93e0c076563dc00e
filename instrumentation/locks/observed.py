"""`observe_lock`: a wrapper that records how a lock of another library is used."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat, starmap
from threading import Lock, RLock
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from ..default import default_registry
from ..recording.registry import Registry
from .acquire import acquire_and_record
from .hold_times import HoldTimes
from .meter import EXCLUSIVE, meter_of
from .signal_safe import signal_safe
from .watch.holders import tracker
from .watch.places import creation_site
from .watch.thread_or_task import ThreadOrTask
from .watch.waits import Wait

_PLAIN = (type(Lock()), type(RLock()))


class Acquirable(Protocol):
    """What the locks of `threading`, `multiprocessing` and other libraries have in common."""

    @property
    def acquire(self) -> Callable[..., Any]: ...
    @property
    def release(self) -> Callable[..., Any]: ...


class _Ways(NamedTuple):
    """How to acquire a lock; see `acquire_and_record`."""

    try_acquire: Callable[[], Any] | None
    wait_to_acquire: Callable[[Wait], Any] | None
    timed: bool


class ObservedLock:
    """A lock that records how it is used. All other attributes are those of the wrapped lock.

    The hold of a re-entrant lock lasts from the outermost acquire to the last release.
    """

    def __init__(self, lock: Acquirable, name: str, mode: str, registry: Registry) -> None:
        self.name = name
        self.registry = registry
        self._lock = lock
        self._meter = meter_of(registry, name, mode)
        self._hold_times = HoldTimes()
        self._signature = _signature(lock)
        self._blocking = next((known for known in ("blocking", "block") if known in self._signature.parameters), None)
        self._try: Callable[[], Any] | None = None
        if self._blocking is not None:
            self._try = partial(_try, partial(lock.acquire, **{self._blocking: False}))
        self._releases: Any = starmap(lock.release, repeat(()))
        self._is_pool = False
        self._without_arguments = self._ways_to_acquire((), {})

    def acquire(self, *args: Any, **kwargs: Any) -> Any:
        """Call the wrapped lock's `acquire` with the same arguments. Return its result: False if it was not taken."""
        ways = self._ways_to_acquire(args, kwargs) if args or kwargs else self._without_arguments
        hold_times = self._hold_times
        return acquire_and_record(
            self,
            self._meter,
            try_acquire=ways.try_acquire,
            wait_to_acquire=ways.wait_to_acquire,
            undo=partial(self._give_back, hold_times.depth()),
            acquired=self._acquired,
            timed=ways.timed,
            ordered=tracker.local is not None and not self._is_taken_again(),
        )

    def _ways_to_acquire(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Ways:
        """Return how to acquire the wrapped lock with these arguments."""
        call = partial(self._lock.acquire, *args, **kwargs)
        try_acquire = self._try
        wait: Callable[[Wait], Any] | None = partial(_wait_unendably, call)
        timed = False
        timeout: Any = -1
        if args or kwargs:
            given = self._arguments(args, kwargs)
            timeout = given.get("timeout", -1 if self._signature is _PLAIN_SIGNATURE else None)
            timed = timeout is not None and (timeout != -1 or self._signature is not _PLAIN_SIGNATURE)
            if self._blocking is None or not given.keys() <= {self._blocking, "timeout"} or (timed and timeout < 0):
                try_acquire = None
            elif not given.get(self._blocking, True) or timeout == 0:
                try_acquire, wait = call, None
        if try_acquire is not None and wait is not None and isinstance(self._lock, _PLAIN) and timeout is not None:
            wait = partial(_wait_endably, self._lock.acquire, timeout)
        return _Ways(try_acquire, wait, timed)

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._signature.bind(*args, **kwargs).arguments
        except TypeError:
            self._lock.acquire(*args, **kwargs)  # raises its own error
            raise

    def _acquired(self) -> None:
        self._hold_times.begin(
            tracker.hold(self) if tracker.local is not None and not self._hold_times.depth() else None
        )
        if not self._is_pool and self._hold_times.several():
            self._is_pool = len(self._hold_times.threads()) > 1

    def _give_back(self, depth: int) -> None:
        self._lock.release()
        self._hold_times.undo(depth)

    def release(self, *args: Any, **kwargs: Any) -> Any:
        """Call the wrapped lock's `release` with the same arguments, and return its result."""
        releases = self._releases if not (args or kwargs) else signal_safe(partial(self._lock.release, *args, **kwargs))
        hold_times, depth = self._hold_times, 0
        try:
            depth = hold_times.depth()
        finally:
            for answer in releases:
                break
            try:
                ended = hold_times.end()
            except BaseException:  # out of a signal handler
                hold_times.undo(depth - 1)
                raise
        if ended is not None:
            self._meter.record_hold(ended)
        return answer

    def blockers(self, mode: str) -> Iterable[ThreadOrTask]:
        """Return its holders; nothing for a pool, which any holder may release. See `WatchedLock.blockers`."""
        return () if self._is_pool else [ThreadOrTask(thread) for thread in self._hold_times.threads()]

    def _is_taken_again(self) -> bool:
        return self._hold_times.depth() > 0 and hasattr(self._lock, "_is_owned")

    def __enter__(self) -> Any:
        answer = self.acquire()
        if answer is False:
            raise RuntimeError(f"{self._lock!r} was not acquired: its acquire() returned False")
        return answer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)


def observe_lock(
    lock: Acquirable, name: str | None = None, mode: str = EXCLUSIVE, *, registry: Registry | None = None
) -> ObservedLock:
    """Return a wrapper of `lock` that records how it is used. Use the wrapper in place of the lock.

    Args:
        lock: anything with `acquire` and `release`. If `acquire` takes `blocking` or `block`, the wrapper first tries
            the lock without a wait. If the lock is taken, it then calls `acquire` as the service does.
        name: name of the lock, the label `lock`; the place of the call if not given.
        mode: `exclusive`, or `read` or `write` for one side of a readers-writer lock.
        registry: where it records; the default registry if not given.

    Raises:
        TypeError: it has no `acquire` and `release`, or they are coroutine functions.
    """
    if not callable(getattr(lock, "acquire", None)) or not callable(getattr(lock, "release", None)):
        raise TypeError(f"observe_lock: {lock!r} has no acquire() and release()")
    if inspect.iscoroutinefunction(lock.acquire):
        raise TypeError(f"observe_lock: {lock!r} is for tasks; use AsyncLock or another of this library's")
    return ObservedLock(lock, name or creation_site(), mode, registry or default_registry())


def _signature(lock: Acquirable) -> inspect.Signature:
    if isinstance(lock, _PLAIN):
        return _PLAIN_SIGNATURE  # older interpreters have no signature for these
    try:
        return inspect.signature(lock.acquire)
    except (TypeError, ValueError):
        return _UNKNOWN_SIGNATURE


def _plain(blocking: bool = True, timeout: float = -1) -> None: ...


def _unknown(*args: object, **kwargs: object) -> None: ...


_PLAIN_SIGNATURE, _UNKNOWN_SIGNATURE = inspect.signature(_plain), inspect.signature(_unknown)


def _try(tries: Callable[[], Any]) -> Any:
    answer: Any = False
    try:
        for answer in signal_safe(tries):
            break
    except TimeoutError:
        pass  # some libraries raise it when the lock is taken
    return answer


def _wait_endably(acquire: Callable[[bool, float], bool], timeout: float, wait: Wait) -> bool:
    return wait.acquire(acquire, timeout)


def _wait_unendably(call: Callable[[], Any], _wait: object) -> Any:
    for answer in signal_safe(call):
        break
    return answer
