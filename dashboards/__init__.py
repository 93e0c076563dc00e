"""Four Grafana boards, built with grafanalib from the same catalog, records and thresholds as the alerts.

To add a panel, add one call of a constructor (`panels/constructors.py`) to the module of its section in `boards/`.
"""

from __future__ import annotations

from mnemoscope.model.settings import Settings

from .board import Board, ShownPanel, queries, render, substitute
from .boards import canary_comparison, cognitive_metrics, dual_memory, slo_compliance
from .lints import lint
from .publish.provisioning import files as provisioning_files


def build(settings: Settings) -> list[Board]:
    """Return the boards of one site, in the order of `links.BOARDS`.

    Raises:
        MnemoscopeError: no board can be built from the settings.
    """
    return [module.build(settings) for module in (dual_memory, cognitive_metrics, canary_comparison, slo_compliance)]


__all__ = ["Board", "ShownPanel", "build", "lint", "provisioning_files", "queries", "render", "substitute"]
