"""A process' own file: made, locked for as long as the process lives, written, and made anew when it is lost.

The owner's lock is what tells the living from the dead. The kernel releases it whatever the process dies of, so
no server has to say when a worker is gone, and a process id that is used again elsewhere confuses nobody.

The cells are written with `pwrite`, in one call for all that changed, which waits for the disk without the
interpreter's lock, and fails with an error where the disk is full. Only the tail is mapped: a recording has to be there
at once, and a call into the system for each would cost too much. Storing into a mapping kills the process (SIGBUS)
where there is nothing behind it, so the tail is written in full before it is mapped, and the file is read-only from
then on: only root, or a deliberate chmod, can still cut it in place. Removing or replacing it is harmless.
"""

from __future__ import annotations

import fcntl
import os
from mmap import mmap
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
    """The file of this process.

    Attributes:
        directory: where it is.
        name: its name there.
        tail: header and tail, mapped; None while there is no file, or where it cannot be mapped.
        unmapped: why it could not be.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = f"{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}"
        self.tail: mmap | None = None
        self.unmapped: Exception | None = None
        self._path = directory / self.name
        self._fds: list[int] = []
        """The file, open and locked, last; before it, one that it has just replaced."""
        self._id = b""
        self._inode = 0
        self._saved = 0

    def save(self, image: Image) -> None:
        """Bring what changed to disk.

        All of it, in a new file, where it is another image, or the old file was set aside, cut or removed.

        Raises:
            OSError: it cannot be written; the next call tries again.
        """
        if image.id != self._id or not self._is_intact():
            self._make(image)
            return
        fd, end = self._fds[-1], len(image.data)
        with memoryview(image.data) as data:
            if end > self._saved:
                # What is new first, then the header that says how much there is.
                write_all(fd, data[self._saved :], self._saved)
                write_all(fd, data[: HEADER.size], 0)
            if image.dirty is not None and image.dirty[0] < self._saved:
                low, high = image.dirty[0], min(image.dirty[1], self._saved)
                write_all(fd, data[low:high], low)
        self._saved, image.dirty = end, None

    def _is_intact(self) -> bool:
        try:
            found = os.stat(self._path)  # noqa: PTH116  # Path.stat says the same, slower, twenty times a second
        except FileNotFoundError:
            return False
        return found.st_ino == self._inode and found.st_size >= self._saved

    def _make(self, image: Image) -> None:
        self._id = b""
        self.directory.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(NEW_SUFFIX)
        new.unlink(missing_ok=True)
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        self._fds.append(fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with memoryview(image.data) as data:
                write_all(fd, data, 0)
            tail = self._mapped(new, image)
            found = os.fstat(fd)
            os.fchmod(fd, found.st_mode & 0o444)
            new.rename(self._path)
        except OSError:
            self._fds.remove(fd)
            os.close(fd)
            new.unlink(missing_ok=True)
            raise
        self._id, self._inode, self.tail = image.id, found.st_ino, tail
        self._saved, image.dirty = len(image.data), None
        # Only now: without its lock, the old file would have been taken for that of a process that has ended.
        self._close(self._fds[:-1])

    def _mapped(self, path: Path, image: Image) -> mmap | None:
        # A mapping keeps its file open, and a forked child keeps the mapping: it must not be the file with our lock.
        fd = os.open(path, os.O_RDWR)
        try:
            return mmap(fd, image.records)
        except (OSError, ValueError) as error:
            self.unmapped = error
            return None
        finally:
            os.close(fd)

    def close(self) -> None:
        """Give up the lock: who reads the directory takes the process for dead. Its counts stay."""
        for fd in self._fds:
            fcntl.flock(fd, fcntl.LOCK_UN)
        self.abandon()

    def abandon(self) -> None:
        """Close the file without unlocking it: what a forked child does with its copy of the parent's.

        The lock stays the parent's. Held through the child's copy, it would let the parent live after its death.
        """
        self._close(self._fds[:])
        self._id = b""

    def _close(self, fds: list[int]) -> None:
        for fd in fds:
            self._fds.remove(fd)
            os.close(fd)
