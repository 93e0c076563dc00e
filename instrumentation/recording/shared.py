"""What a registry asks of the directory that it shares with other processes; `multiprocess` does it."""

from __future__ import annotations

from typing import Protocol

from .metric_series import AnySeries
from .snapshot import Snapshot


class SharedDirectory(Protocol):
    """One registry's part in a directory that several processes share."""

    def add_series(self, series: AnySeries) -> None:
        """Publish a new series, to which no thread has recorded yet."""

    def snapshot(self) -> Snapshot:
        """Return what all processes have recorded so far, this one up to now."""

    def restart(self) -> None:
        """Show other processes that the registry has begun again at zero."""

    def before_fork(self) -> None:
        """Let no other thread be in the middle of a pass."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Begin anew, without the parent's file and threads."""
