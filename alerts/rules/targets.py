"""The service is gone, or an instance of it: alerts on what Prometheus itself knows of its targets."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope import promql
from mnemoscope.model.settings import Settings
from mnemoscope.promql import Matcher

from ..model import Alert

BOARD, PANEL = "slo-compliance", "targets-up"

MEMORY_OF_TARGETS = "1h"
"""How long a cluster whose targets left service discovery is still missed by name."""

ABSENT, DOWN = "MemoryServiceAbsent", "MemoryInstanceDown"


def alerts(settings: Settings) -> Iterator[Alert]:
    """The two alerts on the scrape's `up`."""
    q, cluster = settings.queries, settings.cluster_label
    job = Matcher("job", "=", settings.job)
    up = q.up(job)
    where = list(dict.fromkeys((cluster, "job", *settings.selectors)))
    on = ", ".join(where)
    alive = promql.by(where, f"{up} == 1", "count")
    in_cluster = f"{{{{ with $labels.{cluster} }}}} in {{{{ . }}}}{{{{ end }}}}"
    yield Alert(
        name=ABSENT,
        # The first part keeps the cluster's name, which absent() cannot know; the second speaks when there is no
        # trace of the job at all. They never hold together: one needs a sample within the hour, one that none is.
        expr=(
            f"(\n  {promql.by(where, f'max_over_time({up}[{MEMORY_OF_TARGETS}])', 'count')}\n"
            f"  unless on ({on})\n  {alive}\n)\n"
            f"or\nabsent_over_time({up}[{MEMORY_OF_TARGETS}])"
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
