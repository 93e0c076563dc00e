"""Multi-process mode: the processes of a service share a directory, and a scrape of any process shows all of them.

Each process keeps one file in the directory (`own_file`), in a common format (`file_format`). The file is mapped to
memory, so that a store into it needs no system call and survives the process.

- **Recording.** A recording is appended to its series' journal and to the file's write-ahead log (`write_ahead_log`).
- **Publishing.** About every 50 ms, a thread folds the journals and writes the totals of changed series to the file
  (`publisher`, with `file_contents`). The log entries of these recordings are then free again.
- **Reading.** A scrape reads the files of all processes (`directory`, `file_reader`) and adds their values (`merge`).
  The process that answers publishes first, and takes its own values from memory.
- **Ending.** A process holds a lock on its file, which the kernel releases when the process ends or is killed. The next
  scrape adds the file's values and the recordings that are still in its log to an archive, and removes the file.
- **Forking.** Between `fork` and its return, no pass is under way. The child leaves the parent's file to the parent. It
  makes its own file and threads when it first records, makes a series, or is scraped.

`mode` runs all of this for one registry, with threads of `periodic_thread`. The package is imported only if a directory
is set, by `MNEMOSCOPE_MULTIPROC_DIR` or `configure(multiprocess_dir=...)`.
"""

from __future__ import annotations

from .mode import MultiprocessMode, share

__all__ = ["MultiprocessMode", "share"]
