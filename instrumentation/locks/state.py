"""What all locks of threads share: who holds them, as others see it, and whether the last holder failed."""

from __future__ import annotations

from collections.abc import Iterable
from threading import get_ident
from typing import NoReturn

from .. import catalog
from ..registry import Registry
from .hooks import Owner


class LockState:
    """An exclusive lock as the watchdog and the order of locks see it; it does not refer to the lock itself."""

    __slots__ = ("name", "owner", "poisoned", "poisons", "registry")

    def __init__(self, name: str, registry: Registry, poisons: bool) -> None:
        self.name = name
        self.registry = registry
        self.poisons = poisons
        self.poisoned = False
        self.owner = 0  # the thread that took it last; it means something only while somebody waits
        if poisons:
            registry.counter(catalog.LOCK_POISONED, lock=name)

    def blockers(self, mode: str) -> Iterable[Owner]:
        """The holder."""
        return (Owner(self.owner),)

    def left(self, failed: bool) -> None:
        """Its holder lets go, `failed` if by an exception."""
        if failed and self.poisons:
            self.poisoned = True


class Poisonable:
    """A lock that remembers that a holder failed while it may have been writing."""

    __slots__ = ("_state",)
    _state: LockState

    @property
    def name(self) -> str:
        """The class of the lock: the name it was given, else the place where it was made."""
        return self._state.name

    @property
    def registry(self) -> Registry:
        """Where it records."""
        return self._state.registry

    @property
    def poisoned(self) -> bool:
        """Whether a holder left by an exception since the last `recover`; False without `poison=True`.

        What the lock protects may be half-written: the next holder looks, mends it, and calls `recover`.
        """
        return self._state.poisoned

    def recover(self) -> None:
        """Say that what the lock protects is whole again; counted. Nothing happens if it is not poisoned.

        Raises:
            RuntimeError: the calling thread does not hold the lock.
        """
        if not self._is_held_by(get_ident()):
            raise RuntimeError("cannot recover an un-acquired lock")
        if self._state.poisoned:
            self._state.poisoned = False
            self._state.registry.counter(catalog.LOCK_POISONED, lock=self.name).inc()

    def locked(self) -> bool:
        """Whether somebody holds it."""
        raise AssertionError("each lock says so itself")

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def _is_held_by(self, thread: int) -> bool:
        return self.locked() and self._state.owner == thread
