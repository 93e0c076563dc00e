"""Where an alert leads: the board and panel that show it, and the page that explains it.

A panel's id derives from its key, so that a link in an old alert still finds the panel after the board
was rearranged, and the rules need not know how a board is laid out.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from urllib.parse import quote, urlencode

BOARDS: Mapping[str, str] = {
    "dual-memory": "Dual memory",
    "cognitive-metrics": "Cognitive metrics",
    "canary-comparison": "Canary comparison",
    "slo-compliance": "SLO compliance",
}
"""Stable uid of each board, and its title."""


def panel_id(key: str) -> int:
    """The numeric id of the panel called `key`: positive, stable, below one million."""
    return zlib.crc32(key.encode()) % 999_999 + 1


def dashboard_url(grafana_url: str, board: str, panel: str, variables: Mapping[str, str] | None = None) -> str:
    """The address of one panel over the last hour, with the given template variables.

    A value may be a rule template such as `{{ $labels.job }}`; it is left as it is for Prometheus to fill in.

    Raises:
        KeyError: `board` is not one of BOARDS.
    """
    BOARDS[board]
    query = urlencode({"from": "now-1h", "to": "now", "viewPanel": panel_id(panel)})
    for name, value in (variables or {}).items():
        text = value if value.startswith("{{") else quote(value, safe="")
        query += f"&var-{quote(name)}={text}"
    return f"{grafana_url.rstrip('/')}/d/{board}?{query}"


def runbook_url(base: str, alert: str) -> str:
    """The address of an alert's page."""
    return f"{base.rstrip('/')}/{alert}.md"
