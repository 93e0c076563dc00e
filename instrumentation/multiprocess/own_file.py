"""This process' file on disk: it is locked while the process lives, and made again if it is lost.

The lock shows readers whether the process is alive. The kernel releases it at the end of the process, whatever the
cause. So no server hook is needed, and a reused process id does no harm.

The file is mapped to memory. A store into the mapping needs no system call, which would be too slow for a thread that
records, and would make it wait for the interpreter's lock afterwards. But a store kills the process (SIGBUS) if the
disk has no room for it. So the file is filled with zeros before it is mapped, which raises an error on a full disk. It
is also read-only, so only root or a deliberate chmod can cut it in place. Removing or replacing the file is harmless.
On a copy-on-write file system (btrfs), a store can still fail when the disk is full.
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
"""The suffix of a file that is being made. Readers ignore it until it has a header, a lock and its final name."""


def is_alive(fd: int) -> bool:
    """Return whether a process holds the lock of the file open as `fd`; if not, lock it until `fd` is closed."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def write_all(fd: int, data: memoryview, at: int) -> None:
    """Write all of `data` at offset `at`.

    Raises:
        OSError: the write fails, for example because the disk is full.
    """
    while data:
        written = os.pwrite(fd, data, at)
        data, at = data[written:], at + written


_STEP = 1 << 15
"""Bytes by which a file grows; it is mapped again each time."""


def _rounded(size: int) -> int:
    return -(-size // _STEP) * _STEP


class OwnFile:
    """The file of this process.

    Attributes:
        directory: the directory of the file.
        name: the name of the file.
        mapping: the mapped file; None before the file is made, or if it cannot be mapped.
        mapping_error: the reason why it cannot be mapped.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = f"{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}"
        self.mapping: mmap | None = None
        self.mapping_error: Exception | None = None
        self._path = directory / self.name
        self._fds: list[int] = []
        """Open and locked: the file last, before it a file that it is replacing."""
        self._map_fd = -1
        self._abandoned = False
        self._id = b""
        self._inode = 0
        self._size = 0
        self._saved = 0

    def save(self, contents: FileContents, check_file: bool) -> None:
        """Write the changes of the contents to the file.

        Args:
            contents: the contents. If they are not those of the last call, they are written to a new file.
            check_file: make a new file if the old one was set aside, cut or removed. It costs one more system call.

        Raises:
            OSError: the file cannot be written; the next call tries again.
        """
        if self._abandoned:
            return
        if contents.id != self._id or (check_file and not self._is_intact()):
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
                # The new bytes first, then the number of bytes in use.
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
            found = os.stat(self._path)  # noqa: PTH116  # Path.stat is slower, and this runs 20 times a second
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
        # Not earlier: without its lock, a reader would take the old file for that of a process that has ended.
        self._close(self._fds[:-1])

    def _open_to_map(self, path: Path) -> None:
        # A mapping keeps its open file, and a forked child keeps the mapping. So it must not be the open file with the
        # lock.
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
        """Release the lock. Readers then take the process for ended, and keep its counts."""
        for fd in self._fds:
            fcntl.flock(fd, fcntl.LOCK_UN)
        self.abandon()

    def abandon(self) -> None:
        """Close the parent's file in a forked child, without unlocking it.

        The parent keeps its lock. If the child's copy stayed open, readers would take an ended parent for alive.
        """
        self._abandoned, self.mapping = True, None  # this also stops a pass that the fork interrupted
        self._close(self._fds[:])
        self._close_mapped()

    def _close(self, fds: list[int]) -> None:
        for fd in fds:
            self._fds.remove(fd)
            os.close(fd)
