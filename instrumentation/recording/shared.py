"""What a registry needs from the directory that it shares with other processes; `multiprocess` implements it."""

from __future__ import annotations

from typing import Protocol

from .metric_series import AnySeries
from .snapshot import Snapshot


class SharedDirectory(Protocol):
    """One registry's share of a directory that several processes use."""

    def add_series(self, series: AnySeries) -> None:
        """Publish a new series, which no thread has recorded in yet."""

    def snapshot(self) -> Snapshot:
        """Return what all processes have recorded so far; this process's own part is up to date."""

    def restart(self) -> None:
        """Publish that the registry has begun again at zero."""

    def before_fork(self) -> None:
        """Wait until no other thread is in the middle of publishing, and keep it so."""

    def after_fork_in_parent(self) -> None:
        """Let other threads publish again."""

    def after_fork_in_child(self) -> None:
        """Begin anew, without the parent's file and threads."""
