"""The shared directory: the files of all processes, and the archive of those that have ended.

Readers share the directory's lock; a process that rewrites the archive holds it exclusively. The archive contains the
ids of the files whose values are in it. So if a process is killed after it wrote the archive and before it removed
these files, no count is lost or added twice.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..catalog import Metric
from .file_contents import FileContents
from .file_format import Header, RejectedError
from .file_reader import FileReader, Resolve
from .merge import MergedValues
from .own_file import NEW_SUFFIX, SUFFIX, is_alive, write_all

ARCHIVE = "archive"
LOCK = ".lock"
BAD_SUFFIX = ".bad"
_READINGS = 4
"""How often a file that seems damaged is read: its process may have been writing."""
_LOCK_SECONDS = 5.0
_POLL_SECONDS = 0.005
_OWN = ""
_NOT_A_FILE = frozenset({errno.EISDIR, errno.ESPIPE, errno.ENXIO, errno.ENODEV, errno.EINVAL, errno.ELOOP, errno.EIO})
"""The system's errors for a folder, a pipe, a socket or a broken disk in place of a file."""

LimitLabels = Callable[[Metric, tuple[str, ...]], tuple[str, ...]]


class MemoryFile(NamedTuple):
    """The file of the reader's own process, with its contents from memory."""

    name: str
    data: bytes


class Directory:
    """The shared directory, as one process reads it.

    Args:
        path: the path of the directory.
        resolve: see `file_reader.Resolve`.
        rejected: called with the reason for each file, or metric in it, that is left out.
    """

    def __init__(self, path: Path, resolve: Resolve, rejected: Callable[[str], None]) -> None:
        self.path = path
        self._resolve = resolve
        self._rejected = rejected
        self._known: dict[str, FileReader] = {}
        """Parsed files by name."""
        self._unreadable: set[str] = set()
        self._lock_fds: set[int] = set()

    def read(self, own: MemoryFile) -> MergedValues:
        """Return the merged values of all processes, ended or alive.

        Raises:
            TimeoutError: another process keeps the directory locked for seconds.
            OSError: the directory cannot be read.
        """
        with self._locked(fcntl.LOCK_SH, _LOCK_SECONDS):
            merged = MergedValues()
            archive = self._add_file(merged, ARCHIVE)
            archived = archive.archived if archive else frozenset()
            names = self._names(SUFFIX)
            for name in names:
                if name != own.name:
                    self._add_file(merged, name, archived)
            # From memory, since the file may be missing on a full disk.
            merged.add(self._parsed(_OWN, own.data), own.data, alive=True, lenient=False)
            for gone in set(self._known) - {ARCHIVE, _OWN, *names}:
                del self._known[gone]
        return merged

    def compact(self, own: MemoryFile, limit_labels: LimitLabels) -> None:
        """Move the files of ended processes to the archive, unless another process is reading now.

        Raises:
            OSError: the archive cannot be written; nothing has changed.
        """
        ended = [name for name in self._names(SUFFIX) if name != own.name and not self._is_alive(name)]
        if not ended:
            return
        try:
            with self._locked(fcntl.LOCK_EX, 0):
                self._compact(ended, limit_labels)
        except TimeoutError:
            return

    def _compact(self, ended: list[str], limit_labels: LimitLabels) -> None:
        merged = MergedValues()
        archive = self._add_file(merged, ARCHIVE)
        before = archive.archived if archive else frozenset()
        taken = {name: file.id for name in ended if (file := self._add_file(merged, name, before, alive=False))}
        if not before.issuperset(taken.values()):
            contents = FileContents(0, merged.started)
            merged.write(contents, limit_labels)
            contents.set_archived(sorted({*taken.values(), *self._still_present(before)}))
            self._replace_archive(contents)
        for name in taken:
            (self.path / name).unlink(missing_ok=True)
        for name in self._names(NEW_SUFFIX):
            if not self._is_alive(name):
                (self.path / name).unlink(missing_ok=True)

    def _still_present(self, ids: frozenset[bytes]) -> frozenset[bytes]:
        """Return the ids of archived files that may still be in the directory, and must stay in the archive."""
        there = set()
        for name in self._names(SUFFIX):
            try:
                there.add(Header.unpack(self._read_file(name)[0]).id)
            except (OSError, RejectedError):
                return ids
        return ids & there

    def _replace_archive(self, contents: FileContents) -> None:
        new = self.path / f"{ARCHIVE}{NEW_SUFFIX}"
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            with memoryview(contents.data) as data:
                write_all(fd, data, 0)
        finally:
            os.close(fd)
        new.rename(self.path / ARCHIVE)

    def _add_file(
        self, merged: MergedValues, name: str, archived: frozenset[bytes] = frozenset(), alive: bool = True
    ) -> FileReader | None:
        """Add a file's values, unless they are in the archive, and return its reader.

        Return None if there is no such file, or if it cannot be used and was set aside.
        """
        for reading in range(_READINGS):
            try:
                data, lives = self._read_file(name)
                file = self._parsed(name, data)
                if file.id not in archived:
                    merged.add(file, data, alive=alive and lives, lenient=reading == _READINGS - 1)
                return file
            except FileNotFoundError:
                return None
            except PermissionError:
                # Another user's file. If it were set aside, its process would make it again.
                if name not in self._unreadable:
                    self._unreadable.add(name)
                    self._rejected("unreadable")
                return None
            except OSError as error:
                if error.errno not in _NOT_A_FILE:
                    raise  # for example too many open files: nothing is wrong with this file
                self._set_aside(name, "unreadable")
                return None
            except RejectedError as error:
                self._known.pop(name, None)
                reason = error.reason
        self._set_aside(name, reason)
        return None

    def _parsed(self, name: str, data: bytes) -> FileReader:
        file = self._known.get(name)
        if file is None or file.id != Header.unpack(data).id:
            file = FileReader(self._resolve)
            file.parse(data)
            if file.mismatched:
                self._rejected("mismatch")
            self._known[name] = file
        else:
            file.parse(data)
        return file

    def _read_file(self, name: str) -> tuple[bytes, bool]:
        # Without O_NONBLOCK, opening a pipe in this directory would never return.
        fd = os.open(self.path / name, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.pread(fd, os.fstat(fd).st_size, 0), is_alive(fd)
        finally:
            os.close(fd)

    def _is_alive(self, name: str) -> bool:
        try:
            fd = os.open(self.path / name, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return True  # `_add_file` finds out what is wrong with it
        try:
            return is_alive(fd)
        finally:
            os.close(fd)

    def _set_aside(self, name: str, reason: str) -> None:
        try:
            (self.path / name).rename(self.path / f"{name}{BAD_SUFFIX}")
        except OSError:
            return  # another reader has set it aside, and counted it
        self._rejected(reason)

    def _names(self, suffix: str) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self.path) if name.endswith(suffix))  # noqa: PTH208
        except FileNotFoundError:
            return []

    @contextmanager
    def _locked(self, how: int, patience: float) -> Iterator[None]:
        self.path.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path / LOCK, os.O_RDONLY | os.O_CREAT, 0o644)
        self._lock_fds.add(fd)
        try:
            deadline = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(fd, how | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise TimeoutError(f"{self.path}: another process keeps the directory locked") from None
                    time.sleep(_POLL_SECONDS)
            yield
        finally:
            # Closing alone would leave the lock with a child that was forked meanwhile.
            fcntl.flock(fd, fcntl.LOCK_UN)
            self._lock_fds.discard(fd)
            os.close(fd)

    def check(self) -> None:
        """Make the directory if it is missing, and check that it can be used.

        Raises:
            OSError: it is not a directory, not writable, or on a file system without locks.
        """
        with self._locked(fcntl.LOCK_SH, _LOCK_SECONDS):
            if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(f"{self.path} is not writable")

    def abandon(self) -> None:
        """Close a forked child's copies of the locks that its parent held at the fork."""
        for fd in self._lock_fds:
            os.close(fd)
        self._lock_fds.clear()
