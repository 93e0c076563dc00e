"""Runbooks: one page for each alert. People write the text; code keeps the block of facts up to date.

>>> from mnemoscope import runbooks
>>> "LockWaitHigh" in runbooks.pages()
True
"""

from __future__ import annotations

from .lints import lint
from .loader import GENERAL_PAGES, load, pages, sync
from .page import SECTIONS, Page, parse

__all__ = ["GENERAL_PAGES", "SECTIONS", "Page", "lint", "load", "pages", "parse", "sync"]
