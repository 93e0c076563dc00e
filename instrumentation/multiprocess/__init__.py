"""One scrape for a service of several processes: each writes a file of its own, and whoever is scraped reads all.

Loaded only where a directory is set (`MNEMOSCOPE_MULTIPROC_DIR`, or `configure(multiprocess_dir=...)`). From the
bottom up: `layout` is the format, `contents` writes it, `cellfile` reads it; `owner` keeps a process' file on disk
and tells who lives; `publisher` turns series into cells; `merge` adds processes up; `directory` holds the files,
the dead ones' archive and its lock; `sharing` runs it all for one registry.
"""

from __future__ import annotations

from .mode import MultiprocessMode, share

__all__ = ["MultiprocessMode", "share"]
