"""Observe a lock that the service already has: wait, hold, contention, waiters, timeouts, order, stalls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat, starmap
from threading import Lock, RLock
from types import TracebackType
from typing import Any, Protocol

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
    """What locks of `threading`, of `multiprocessing` and of other libraries have in common."""

    @property
    def acquire(self) -> Callable[..., Any]: ...
    @property
    def release(self) -> Callable[..., Any]: ...


class ObservedLock:
    """A lock that records how it is used; everything else is the wrapped lock's own.

    The hold of a re-entrant lock runs from the outermost acquire to the last release.
    """

    def __init__(self, lock: Acquirable, name: str, mode: str, registry: Registry) -> None:
        self.name = name
        self.registry = registry
        self._lock = lock
        self._meter = meter_of(registry, name, mode)
        self._holds = HoldTimes()
        self._signature = _signature(lock)
        self._blocking = next((known for known in ("blocking", "block") if known in self._signature.parameters), None)
        self._tries: Any = partial(lock.acquire, **{self._blocking: False}) if self._blocking is not None else None
        self._releases: Any = starmap(lock.release, repeat(()))
        self._is_pool = False

    def acquire(self, *args: Any, **kwargs: Any) -> Any:
        """Call the wrapped lock's with the same arguments, and return what that does: False if it was not taken."""
        call = partial(self._lock.acquire, *args, **kwargs)
        attempt = self._attempt if self._tries is not None else None
        wait: Callable[[Wait], Any] | None = partial(_ignoring, call)
        timed = False
        timeout: Any = -1
        if args or kwargs:
            given = self._arguments(args, kwargs)
            timeout = given.get("timeout", -1 if self._signature is _PLAIN_SIGNATURE else None)
            timed = timeout is not None and (timeout != -1 or self._signature is not _PLAIN_SIGNATURE)
            if self._blocking is None or not given.keys() <= {self._blocking, "timeout"} or (timed and timeout < 0):
                attempt = None
            elif not given.get(self._blocking, True) or timeout == 0:
                attempt, wait = call, None
        if attempt is not None and wait is not None and isinstance(self._lock, _PLAIN) and timeout is not None:
            wait = partial(_endable, self._lock.acquire, timeout)
        holds = self._holds
        return acquire_and_record(
            self,
            self._meter,
            try_acquire=attempt,
            wait_to_acquire=wait,
            undo=partial(self._give_back, holds.depth()),
            acquired=self._acquired,
            timed=timed,
            ordered=tracker.local is not None and not self._is_taken_again(),
        )

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._signature.bind(*args, **kwargs).arguments
        except TypeError:
            self._lock.acquire(*args, **kwargs)  # raises what it raises for them
            raise

    def _attempt(self) -> Any:
        answer: Any = False
        try:
            for answer in signal_safe(self._tries):
                break
        except TimeoutError:
            pass  # how some libraries say that it is taken
        return answer

    def _acquired(self) -> None:
        self._holds.begin(tracker.hold(self) if tracker.local is not None and not self._holds.depth() else None)
        if not self._is_pool and self._holds.several():
            self._is_pool = len(self._holds.threads()) > 1

    def _give_back(self, depth: int) -> None:
        self._lock.release()
        self._holds.undo(depth)

    def release(self, *args: Any, **kwargs: Any) -> Any:
        """Call the wrapped lock's, and return or raise what that does."""
        releases = self._releases if not (args or kwargs) else signal_safe(partial(self._lock.release, *args, **kwargs))
        holds, depth = self._holds, 0
        try:
            depth = holds.depth()
        finally:
            for answer in releases:
                break
            try:
                ended = holds.end()
            except BaseException:  # out of a signal handler
                holds.undo(depth - 1)
                raise
        if ended is not None:
            self._meter.record_hold(ended)
        return answer

    def blockers(self, mode: str) -> Iterable[ThreadOrTask]:
        """Return what holds it; nothing for a pool, any of whose holders may give back. See `waits.WatchedLock`."""
        return () if self._is_pool else [ThreadOrTask(thread) for thread in self._holds.threads()]

    def _is_taken_again(self) -> bool:
        return self._holds.depth() > 0 and hasattr(self._lock, "_is_owned")

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
    """Return `lock`, observed: use the result in its place.

    Args:
        lock: anything with `acquire` and `release`. Where `acquire` takes `blocking` or `block`, it is tried first,
            and called as the service calls it if it was taken.
        name: name of the lock, the label `lock`; the place of the call if not given.
        mode: `exclusive`, or `read` or `write` for one side of a readers-writer lock.
        registry: where it records; the default registry if not given.

    Raises:
        TypeError: it has no `acquire` and `release`, or those are for tasks.
    """
    if not callable(getattr(lock, "acquire", None)) or not callable(getattr(lock, "release", None)):
        raise TypeError(f"observe_lock: {lock!r} has no acquire() and release()")
    if inspect.iscoroutinefunction(lock.acquire):
        raise TypeError(f"observe_lock: {lock!r} is for tasks; use AsyncLock or another of this library's")
    return ObservedLock(lock, name or creation_site(), mode, registry or default_registry())


def _signature(lock: Acquirable) -> inspect.Signature:
    if isinstance(lock, _PLAIN):
        return _PLAIN_SIGNATURE  # older interpreters do not say
    try:
        return inspect.signature(lock.acquire)
    except (TypeError, ValueError):
        return _UNKNOWN_SIGNATURE


def _plain(blocking: bool = True, timeout: float = -1) -> None: ...


def _unknown(*args: object, **kwargs: object) -> None: ...


_PLAIN_SIGNATURE, _UNKNOWN_SIGNATURE = inspect.signature(_plain), inspect.signature(_unknown)


def _endable(acquire: Callable[[bool, float], bool], timeout: float, waiting: Wait) -> bool:
    return waiting.acquire(acquire, timeout)


def _ignoring(call: Callable[[], Any], _waiting: object) -> Any:
    for answer in signal_safe(call):
        break
    return answer
