"""The rules as an object for the Prometheus Operator, which the operators of Mimir and VictoriaMetrics also read."""

from __future__ import annotations

import yaml

from mnemoscope.model.settings import Settings

from .model import Pack
from .render import dump, rule_files


def prometheus_rule(pack: Pack, settings: Settings) -> str:
    """Return a `PrometheusRule` with all groups, and with the labels that Operator installations commonly select by."""
    groups = [group for text in rule_files(pack, settings).values() for group in yaml.safe_load(text)["groups"]]
    return dump(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {
                "name": f"{settings.prefix.replace('_', '-')}-memory",
                "labels": {"app.kubernetes.io/name": "mnemoscope", "role": "alert-rules"},
            },
            "spec": {"groups": groups},
        }
    )
