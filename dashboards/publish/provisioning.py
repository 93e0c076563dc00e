"""Files for a Grafana that loads its boards from disk or from Kubernetes objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mnemoscope.alerts.render import block, dump
from mnemoscope.errors import MnemoscopeError
from mnemoscope.model.settings import Settings

from ..board import TAG, Board, render
from .grafana import folder_uid

DATASOURCE_UID = "mnemoscope-prometheus"
BOARDS_FOLDER = "/var/lib/grafana/dashboards/mnemoscope"
"""The folder inside Grafana's container from which the provider loads the boards."""

# Kubernetes refuses a ConfigMap above 1 MiB, and etcd a request.
MAX_CONFIGMAP = 1024 * 1024


def files(settings: Settings, boards: Iterable[Board]) -> dict[str, str]:
    """Return text by path: a data source, a provider of boards, and a ConfigMap for each board.

    Raises:
        MnemoscopeError: a board is too large for a ConfigMap.
    """
    found = {
        "provisioning/datasources/prometheus.yaml": dump(_datasource(settings)),
        "provisioning/dashboards/mnemoscope.yaml": dump(_provider(settings)),
    }
    for board in boards:
        text = dump(_config_map(settings, board))
        size = len(text.encode())
        if size >= MAX_CONFIGMAP:
            raise MnemoscopeError(
                f"board {board.uid}: {size} bytes do not fit into a ConfigMap (maximum 1 MiB); publish it instead"
            )
        found[f"kubernetes/dashboard-{board.uid}.yaml"] = text
    return found


def _datasource(settings: Settings) -> dict[str, Any]:
    return {
        "apiVersion": 1,
        "datasources": [
            {
                "name": "Prometheus",
                "uid": DATASOURCE_UID,
                "type": "prometheus",
                "access": "proxy",
                "url": "${PROMETHEUS_URL}",
                "isDefault": True,
                "editable": False,
                "jsonData": {
                    "httpMethod": "POST",
                    "prometheusType": "Prometheus",
                    # $__rate_interval is at least four times this.
                    "timeInterval": settings.scrape_interval,
                },
            }
        ],
    }


def _provider(settings: Settings) -> dict[str, Any]:
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": TAG,
                "orgId": 1,
                "type": "file",
                "folder": settings.folder,
                "folderUid": folder_uid(settings.folder),
                "allowUiUpdates": False,
                "disableDeletion": False,
                "updateIntervalSeconds": 30,
                "options": {"path": BOARDS_FOLDER},
            }
        ],
    }


def _config_map(settings: Settings, board: Board) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{TAG}-{board.uid}",
            "labels": {"app.kubernetes.io/part-of": TAG, "grafana_dashboard": "1"},
            "annotations": {"grafana_folder": settings.folder},
        },
        "data": {f"{board.uid}.json": block(render(board))},
    }
