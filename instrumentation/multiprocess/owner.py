"""A process' own file: made, locked for as long as the process lives, written, and made anew when it is lost.

The owner's lock is what tells the living from the dead. The kernel releases it whatever the process dies of, so
no server has to say when a worker is gone, and a process id that is used again elsewhere confuses nobody.

The cells are written with `pwrite`, in one call for all that changed, not through a mapping: storing into the
mapping of a file that somebody has truncated, or whose disk is full, kills the process with SIGBUS, and a store
that waits for the disk does so with the interpreter's lock held. A write fails with an error instead, and waits
without the lock; readers see the same pages either way.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from .image import Image
from .layout import HEADER

SUFFIX = ".cells"
NEW_SUFFIX = ".new"
"""A file that is being made; nobody reads it before it has a header, a lock and its real name."""


def is_alive(fd: int) -> bool:
    """Whether the owner of the file open as `fd` lives: its lock cannot be had. Closing `fd` gives ours back."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def write_all(fd: int, data: memoryview, at: int) -> None:
    """Write all of `data` at offset `at`.

    Raises:
        OSError: the disk is full, for one.
    """
    while data:
        written = os.pwrite(fd, data, at)
        data, at = data[written:], at + written


class OwnFile:
    """The file of this process."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path: Path | None = None
        self._fd = -1
        self._inode = 0
        self._saved = 0

    @property
    def name(self) -> str:
        """Its name in the directory; empty while there is none."""
        return self._path.name if self._path else ""

    def save(self, image: Image) -> None:
        """Bring what changed to disk; all of it, in a new file, where the old one was set aside, cut or removed.

        Raises:
            OSError: it cannot be written; the next call tries again.
        """
        if not self._is_intact():
            self._make(image)
            return
        end = len(image.data)
        with memoryview(image.data) as data:
            if end > self._saved:
                # What is new first, then the header that says how much there is.
                write_all(self._fd, data[self._saved :], self._saved)
                write_all(self._fd, data[: HEADER.size], 0)
            if image.dirty is not None and image.dirty[0] < self._saved:
                low, high = image.dirty[0], min(image.dirty[1], self._saved)
                write_all(self._fd, data[low:high], low)
        self._saved, image.dirty = end, None

    def _is_intact(self) -> bool:
        if self._path is None:
            return False
        try:
            found = os.stat(self._path)  # noqa: PTH116  # Path.stat says the same, slower, twenty times a second
        except FileNotFoundError:
            return False
        return found.st_ino == self._inode and found.st_size >= self._saved

    def _make(self, image: Image) -> None:
        self.close()
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}"
        new = path.with_suffix(NEW_SUFFIX)
        self._fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with memoryview(image.data) as data:
                write_all(self._fd, data, 0)
            new.rename(path)
        except BaseException:
            self.close()
            new.unlink(missing_ok=True)
            raise
        self._path, self._inode = path, os.fstat(self._fd).st_ino
        self._saved, image.dirty = len(image.data), None

    def close(self) -> None:
        """Give up the lock: who reads the directory takes the process for dead. Its counts stay."""
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        self.abandon()

    def abandon(self) -> None:
        """Close the file without unlocking it: what a forked child does with its copy of the parent's.

        The lock stays the parent's. Held through the child's copy, it would let the parent live after its death.
        """
        if self._fd >= 0:
            os.close(self._fd)
        self._path, self._fd, self._saved = None, -1, 0
