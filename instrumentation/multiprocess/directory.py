"""The directory that the processes share: who is there, what each says, and the archive of those that have ended.

Readers hold the directory's lock together, whoever rewrites the archive holds it alone. The archive names the
files whose values it has taken in, so that a process killed between writing it and removing them neither loses a
count nor doubles one.
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
"""How often a file is read that seems damaged: its owner may have been writing just then."""
_LOCK_SECONDS = 5.0
_POLL_SECONDS = 0.005
_OWN = ""
_NOT_A_FILE = frozenset({errno.EISDIR, errno.ESPIPE, errno.ENXIO, errno.ENODEV, errno.EINVAL, errno.ELOOP, errno.EIO})
"""What the system says of a folder, a pipe, a socket or a broken disk in the place of a file."""

LimitLabels = Callable[[Metric, tuple[str, ...]], tuple[str, ...]]


class MemoryFile(NamedTuple):
    """The reader's own process, whose values come from memory."""

    name: str
    data: bytes


class Directory:
    """The shared directory, as one process reads it.

    Args:
        path: where it is.
        resolve: see `cellfile.Resolve`.
        rejected: told of each file, or metric in it, that is left out, with the reason.
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
        """The values of all processes, dead and alive.

        Raises:
            TimeoutError: another process has kept the directory locked for seconds.
            OSError: the directory cannot be read.
        """
        with self._locked(fcntl.LOCK_SH, _LOCK_SECONDS):
            merged = MergedValues()
            archive = self._add(merged, ARCHIVE)
            archived = archive.archived if archive else frozenset()
            names = self._names(SUFFIX)
            for name in names:
                if name != own.name:
                    self._add(merged, name, archived)
            # Whether or not it is on disk, which may be full.
            merged.add(self._parsed(_OWN, own.data), own.data, alive=True, lenient=False)
            for gone in set(self._known) - {ARCHIVE, _OWN, *names}:
                del self._known[gone]
        return merged

    def compact(self, own: MemoryFile, limit_labels: LimitLabels) -> None:
        """Take the files of the dead into the archive; leave it to a later call where somebody reads just now.

        Raises:
            OSError: the archive cannot be written; everything is as it was.
        """
        dead = [name for name in self._names(SUFFIX) if name != own.name and not self._is_alive(name)]
        if not dead:
            return
        try:
            with self._locked(fcntl.LOCK_EX, 0):
                self._compact(dead, limit_labels)
        except TimeoutError:
            return

    def _compact(self, dead: list[str], limit_labels: LimitLabels) -> None:
        merged = MergedValues()
        archive = self._add(merged, ARCHIVE)
        before = archive.archived if archive else frozenset()
        taken = {name: file.id for name in dead if (file := self._add(merged, name, before, alive=False))}
        if not before.issuperset(taken.values()):
            contents = FileContents(0, merged.started)
            merged.write(contents, limit_labels)
            contents.archived(sorted({*taken.values(), *self._still_present(before)}))
            self._replace_archive(contents)
        for name in taken:
            (self.path / name).unlink(missing_ok=True)
        for name in self._names(NEW_SUFFIX):
            if not self._is_alive(name):
                (self.path / name).unlink(missing_ok=True)

    def _still_present(self, ids: frozenset[bytes]) -> frozenset[bytes]:
        """Those of the files that an earlier archive took in that may still be there to be read by mistake."""
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

    def _add(
        self, merged: MergedValues, name: str, archived: frozenset[bytes] = frozenset(), alive: bool = True
    ) -> FileReader | None:
        """Add a file's values, unless they are in the archive.

        None where there is no such file, or where it could not be used and was set aside.
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
                # Another user's. Set aside, it would be made again and again.
                if name not in self._unreadable:
                    self._unreadable.add(name)
                    self._rejected("unreadable")
                return None
            except OSError as error:
                if error.errno not in _NOT_A_FILE:
                    raise  # too many open files, say: nothing is wrong with this one
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
        # Without O_NONBLOCK, opening a pipe that somebody put here would never end.
        fd = os.open(self.path / name, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.pread(fd, os.fstat(fd).st_size, 0), is_alive(fd)
        finally:
            os.close(fd)

    def _is_alive(self, name: str) -> bool:
        try:
            fd = os.open(self.path / name, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return True  # not ours to judge; reading it says what is wrong with it
        try:
            return is_alive(fd)
        finally:
            os.close(fd)

    def _set_aside(self, name: str, reason: str) -> None:
        try:
            (self.path / name).rename(self.path / f"{name}{BAD_SUFFIX}")
        except OSError:
            return  # another reader was faster, and has counted it
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
            # Closing alone would leave the lock to a child that was forked meanwhile.
            fcntl.flock(fd, fcntl.LOCK_UN)
            self._lock_fds.discard(fd)
            os.close(fd)

    def check(self) -> None:
        """Make sure that the directory is there and can be used.

        Raises:
            OSError: it cannot: not a directory, not writable, or on a file system without locks.
        """
        with self._locked(fcntl.LOCK_SH, _LOCK_SECONDS):
            if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(f"{self.path} is not writable")

    def abandon(self) -> None:
        """Close this forked child's copies of locks that its parent held at the fork."""
        for fd in self._lock_fds:
            os.close(fd)
        self._lock_fds.clear()
