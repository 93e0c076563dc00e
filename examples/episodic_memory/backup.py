"""Backups: taken while the service runs, tested by restoring them, then uploaded to the object store.

The object store of this example is a folder. The upload is an operation that can fail, and it is measured.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path

import mnemoscope as scope
from mnemoscope import catalog as m

from .database import BACKEND, Database
from .errors import StartError

OBJECT_STORE = "folder"
_KEEP = 3


class Backups:
    """Backups of one database in `folder`; the latest few are kept."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._objects = folder / "objects"
        self._scratch = folder / "scratch"
        for path in (self._objects, self._scratch):
            path.mkdir(parents=True, exist_ok=True)
        kept = self.kept()
        self._last = scope.gauge(m.STORAGE_BACKUP_LAST_SUCCESS_TIMESTAMP, backend=BACKEND)
        if kept:
            self._last.set(kept[-1].stat().st_mtime)

    def kept(self) -> list[Path]:
        """Return the backups in the object store, oldest first."""
        return sorted(self._objects.glob("*.sqlite"))

    def run(self) -> Path:
        """Take a backup, restore it as a test, upload it, and return its path."""
        copy = self._scratch / "backup.sqlite"
        trial = self._scratch / "trial.sqlite"
        try:
            self._copy(copy)
            trial.unlink(missing_ok=True)
            restore(copy, trial)
            kept = self._upload(copy)
        finally:
            copy.unlink(missing_ok=True)
            trial.unlink(missing_ok=True)
        for old in self.kept()[:-_KEEP]:
            old.unlink()
        self._last.set(time.time())
        return kept

    @scope.timed(m.STORAGE_BACKUP_DURATION, backend=BACKEND)
    def _copy(self, target: Path) -> None:
        target.unlink(missing_ok=True)
        source, copy = self._database.connect(), sqlite3.connect(target)
        try:
            source.backup(copy)
        finally:
            source.close()
            copy.close()

    @scope.timed(m.STORAGE_UPLOAD_DURATION, backend=OBJECT_STORE)
    def _upload(self, copy: Path) -> Path:
        target = self._objects / f"{time.time_ns()}.sqlite"
        partial = target.with_suffix(".partial")
        shutil.copyfile(copy, partial)
        return partial.replace(target)


@scope.timed(m.STORAGE_RESTORE_DURATION, backend=BACKEND)
def restore(backup: Path, target: Path) -> None:
    """Restore `backup` as the database file `target`, while no service uses that.

    Raises:
        StartError: `target` exists already, or the backup is damaged; in the second case no `target` is left.
    """
    if target.exists():
        raise StartError(f"{target} exists; move it away before restoring")
    partial = target.with_suffix(".restoring")
    shutil.copyfile(backup, partial)
    connection = sqlite3.connect(partial)
    try:
        # A damaged file can still be readable, so check all of it.
        findings = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.DatabaseError as error:
        findings = [str(error)]
    finally:
        connection.close()
    if findings != ["ok"]:
        partial.unlink()
        raise StartError(f"{backup} is damaged: {findings[0]}; take an older backup")
    partial.replace(target)
