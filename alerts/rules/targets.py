"""Alerts on the targets of Prometheus: the whole service, or one instance of it, is down."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope import promql
from mnemoscope.model.settings import Settings
from mnemoscope.promql import Matcher

from ..model import Alert

BOARD, PANEL = "slo-compliance", "targets-up"

LOOKBACK = "1h"
"""How long the alert names a cluster whose targets left service discovery."""

ABSENT, DOWN = "MemoryServiceAbsent", "MemoryInstanceDown"


def alerts(settings: Settings) -> Iterator[Alert]:
    """Yield the two alerts on the scrape's `up`."""
    q, cluster = settings.queries, settings.cluster_label
    job = Matcher("job", "=", settings.job)
    up = q.up(job)
    where = list(dict.fromkeys((cluster, "job", *settings.selectors)))
    on = ", ".join(where)
    alive = promql.by(where, f"{up} == 1", "count")
    in_cluster = f"{{{{ with $labels.{cluster} }}}} in {{{{ . }}}}{{{{ end }}}}"
    yield Alert(
        name=ABSENT,
        # The first part keeps the name of the cluster, which absent() cannot keep. The second part holds if the job has
        # no sample within the hour. The first needs such a sample, so they never hold together.
        expr=(
            f"(\n  {promql.by(where, f'max_over_time({up}[{LOOKBACK}])', 'count')}\n"
            f"  unless on ({on})\n  {alive}\n)\n"
            f"or\nabsent_over_time({up}[{LOOKBACK}])"
        ),
        for_="2m",
        severity="critical",
        summary="No instance of the memory service is up.",
        description=(
            f"Prometheus reaches no target of {{{{ $labels.job }}}}{in_cluster}:"
            " the service is down, or is not scraped."
        ),
        board=BOARD,
        panel=PANEL,
        variables=(cluster, "job"),
    )
    instance = settings.instance_labels[0]
    yield Alert(
        name=DOWN,
        expr=f"{up} == 0\nand on ({on})\n{alive}",
        for_="5m",
        severity="warning",
        summary="An instance of the memory service is down.",
        description=(
            f"Prometheus cannot scrape {{{{ $labels.{instance} }}}} of {{{{ $labels.job }}}}{in_cluster};"
            " other instances are up."
        ),
        board=BOARD,
        panel=PANEL,
        variables=(cluster, "job"),
    )
