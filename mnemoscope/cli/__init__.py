"""The command line: `mnemoscope generate`, `check`, `publish`, `tools` and `demo`."""

from .app import main

__all__ = ["main"]
