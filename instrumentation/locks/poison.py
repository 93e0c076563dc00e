"""Locks that remember that a holder failed while it may have been writing."""

from __future__ import annotations

from threading import get_ident
from typing import NoReturn

from .. import catalog
from ..recording.registry import Registry


class Poisonable:
    """What every lock has.

    Attributes:
        name: its class: the name it was given, else the place where it was made.
        registry: where it records.
        poisons: whether an exception that leaves a block poisons it.
        poisoned: whether one did since the last `recover`. What the lock protects may be half-written: the next holder
            looks, repairs it, and calls `recover`.
    """

    __slots__ = ("name", "poisoned", "poisons", "registry")
    name: str
    registry: Registry
    poisons: bool
    poisoned: bool

    def _can_be_poisoned(self, poisons: bool) -> None:
        self.poisons, self.poisoned = poisons, False
        if poisons:
            self.registry.counter(catalog.LOCK_POISONED, lock=self.name)

    def _left(self, *, failed: bool) -> None:
        """Note that a block is left, `failed` if by an exception."""
        if failed and self.poisons:
            self.poisoned = True

    def recover(self) -> None:
        """Note that what the lock protects is whole again; counted. Nothing happens if it is not poisoned.

        Raises:
            RuntimeError: the calling thread does not hold the lock.
        """
        if not self._is_held_by(get_ident()):
            raise RuntimeError("cannot recover an un-acquired lock")
        if self.poisoned:
            self.poisoned = False
            self.registry.counter(catalog.LOCK_POISONED, lock=self.name).inc()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def _is_held_by(self, thread: int) -> bool:
        """Return whether this thread holds it; each lock has its own answer."""
        raise NotImplementedError
