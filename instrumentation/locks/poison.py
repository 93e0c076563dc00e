"""What every lock has: a name, a registry, and a mark that a holder failed while it may have been writing."""

from __future__ import annotations

from threading import get_ident
from typing import NoReturn

from .. import catalog
from ..default import default_registry
from ..recording.registry import Registry
from .watch.places import creation_site


class Poisonable:
    """A lock that can be poisoned.

    Attributes:
        name: its class: its name, or the place where it was made.
        registry: where it records.
        poisons: whether an exception that leaves a block poisons it.
        poisoned: whether an exception did so since the last `recover`. The data that the lock protects may be
            half-written: the next holder checks it, repairs it, and calls `recover`.
    """

    __slots__ = ("name", "poisoned", "poisons", "registry")
    name: str
    registry: Registry
    poisons: bool
    poisoned: bool

    def _identify(self, name: str | None, registry: Registry | None, *, poisons: bool) -> None:
        self.registry = registry or default_registry()
        self.name = name or creation_site()
        self._can_be_poisoned(poisons)

    def _can_be_poisoned(self, poisons: bool) -> None:
        self.poisons, self.poisoned = poisons, False
        if poisons:
            self.registry.counter(catalog.LOCK_POISONED, lock=self.name)

    def _poison_if(self, *, failed: bool) -> None:
        """Poison it if a block is left by an exception."""
        if failed and self.poisons:
            self.poisoned = True

    def recover(self) -> None:
        """Remove and count the mark, after a repair of the protected data. Do nothing if the lock is not poisoned.

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
        """Return whether this thread holds it."""
        raise NotImplementedError
