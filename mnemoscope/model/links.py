"""Links of an alert: to the panel that shows it, and to its runbook page.

A panel's id derives from its key. So a link in an old alert still leads to the panel after the board was rearranged,
and the rules do not depend on the layout of a board.
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
    """Return the numeric id of the panel called `key`: positive, stable, below one million."""
    return zlib.crc32(key.encode()) % 999_999 + 1


def dashboard_url(grafana_url: str, board: str, panel: str, variables: Mapping[str, str] | None = None) -> str:
    """Return the address of one panel over the last hour, with the given template variables.

    A value may be a rule template such as `{{ $labels.job }}`; it is not quoted, and Prometheus fills it in.

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
    """Return the address of an alert's runbook page."""
    return f"{base.rstrip('/')}/{alert}.md"
