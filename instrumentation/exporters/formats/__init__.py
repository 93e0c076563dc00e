"""The formats of a scrape. Each format is a module of this folder that defines `FORMAT`.

To add a format, copy `text.py` and add the name of the new module to `_MODULES`.
"""

from __future__ import annotations

from importlib import import_module

from .format import Format

_MODULES = (
    "text",
    "openmetrics",
    "json_document",
)
FORMATS: tuple[Format, ...] = tuple(import_module(f"{__name__}.{module}").FORMAT for module in _MODULES)
"""Every format. `/metrics` answers with the first one if a client accepts any format, or none of these."""

__all__ = ["FORMATS", "Format"]
