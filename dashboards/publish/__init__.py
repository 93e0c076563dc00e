"""Boards into Grafana: over its HTTP API, or as files that it reads."""

from __future__ import annotations

from .grafana import BoardResult, folder_uid
from .publishing import Report, publish

__all__ = ["BoardResult", "Report", "folder_uid", "publish"]
