"""A process' own file: made, locked for as long as the process lives, written, and made anew when it is lost.

The owner's lock is what tells the living from the dead. The kernel releases it whatever the process dies of, so
no server has to say when a worker is gone, and a process id that is used again elsewhere confuses nobody.

The file is mapped: storing into it takes no call into the system, which a thread that records could not afford, and
after which it would have to wait for the interpreter's lock. Such a store kills the process (SIGBUS) where nothing is
behind the mapping. So what is mapped is written first, with zeros, and that fails with an error where the disk is full;
and from then on the file is read-only for everybody: only root, or a deliberate chmod, can still cut it in place.
Removing or replacing it is harmless. A full file system of the kind that copies on writing (btrfs) is not.
"""

from __future__ import annotations

import fcntl
import os
from mmap import mmap
from pathlib import Path

from .file_contents import FileContents
from .file_format import USED

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


_STEP = 1 << 15
"""Bytes by which a file grows: it is mapped anew each time."""


def _rounded(size: int) -> int:
    return -(-size // _STEP) * _STEP


class OwnFile:
    """The file of this process.

    Attributes:
        directory: where it is.
        name: its name there.
        mapping: the file, mapped; None while there is none, or where it cannot be mapped.
        mapping_error: why it could not be.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = f"{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}"
        self.mapping: mmap | None = None
        self.mapping_error: Exception | None = None
        self._path = directory / self.name
        self._fds: list[int] = []
        """The file, open and locked, last; before it, one that it has just replaced."""
        self._map_fd = -1
        self._abandoned = False
        self._id = b""
        self._inode = 0
        self._size = 0
        self._saved = 0

    def save(self, contents: FileContents, look: bool) -> None:
        """Bring what changed into the file.

        All of it goes into a new file if the contents are new, or if the old file was set aside, cut or removed. Only
        `look` checks the old file, which is one more system call.

        Raises:
            OSError: it cannot be written; the next call tries again.
        """
        if self._abandoned:
            return
        if contents.id != self._id or (look and not self._is_intact()):
            self._make(contents)
            return
        with memoryview(contents.data) as data:
            while contents.changed:
                place = contents.changed[-1]
                if place.start < self._saved:
                    self._store(place, data)
                contents.changed.pop()
            end = len(data)
            if end > self._size:
                self._grow(end)
            if end > self._saved:
                # What is new first, then how much there is.
                self._store(slice(self._saved, end), data)
                self._store(USED, data)
        self._saved = end

    def _store(self, place: slice, data: memoryview) -> None:
        if self.mapping is not None:
            self.mapping[place] = data[place]
        elif self._fds:
            write_all(self._fds[-1], data[place], place.start)

    def _grow(self, end: int) -> None:
        size = _rounded(end)
        with memoryview(bytes(size - self._size)) as zeros:
            write_all(self._fds[-1], zeros, self._size)
        self.mapping, self._size = self._mapped(size), size

    def _is_intact(self) -> bool:
        try:
            found = os.stat(self._path)  # noqa: PTH116  # Path.stat says the same, slower, twenty times a second
        except FileNotFoundError:
            return False
        return found.st_ino == self._inode and found.st_size >= self._size

    def _make(self, contents: FileContents) -> None:
        self._id = b""
        self.directory.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(NEW_SUFFIX)
        new.unlink(missing_ok=True)
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        self._fds.append(fd)
        size = _rounded(len(contents.data))
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with memoryview(contents.data.ljust(size, b"\0")) as data:
                write_all(fd, data, 0)
            self._open_to_map(new)
            mapping, found, saved = self._mapped(size), os.fstat(fd), len(contents.data)
            os.fchmod(fd, found.st_mode & 0o444)
            new.rename(self._path)
        except OSError:
            self._fds.remove(fd)
            os.close(fd)
            new.unlink(missing_ok=True)
            raise
        contents.changed.clear()
        self.mapping, self._size, self._saved, self._inode, self._id = mapping, size, saved, found.st_ino, contents.id
        # Only now: without its lock, the old file would have been taken for that of a process that has ended.
        self._close(self._fds[:-1])

    def _open_to_map(self, path: Path) -> None:
        # A mapping keeps its file open, and a forked child keeps the mapping: it must not be the file with our lock.
        self._close_mapped()
        self._map_fd = os.open(path, os.O_RDWR)

    def _close_mapped(self) -> None:
        fd, self._map_fd = self._map_fd, -1
        if fd >= 0:
            os.close(fd)

    def _mapped(self, size: int) -> mmap | None:
        self.mapping_error = None
        try:
            return mmap(self._map_fd, size)
        except (OSError, ValueError) as error:
            self.mapping_error = error
            return None

    def close(self) -> None:
        """Give up the lock: who reads the directory takes the process for dead. Its counts stay."""
        for fd in self._fds:
            fcntl.flock(fd, fcntl.LOCK_UN)
        self.abandon()

    def abandon(self) -> None:
        """Close the file without unlocking it: what a forked child does with its copy of the parent's.

        The lock stays the parent's. Held through the child's copy, it would let the parent live after its death.
        """
        self._abandoned, self.mapping = True, None  # also for a pass that the fork has interrupted
        self._close(self._fds[:])
        self._close_mapped()

    def _close(self, fds: list[int]) -> None:
        for fd in fds:
            self._fds.remove(fd)
            os.close(fd)
