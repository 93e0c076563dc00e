"""Every panel that shows data has queries, and all of them use the data source variable."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ..panels.layer import DATASOURCE
from ._subject import Subject

NAME = "no-data-source"


def _run(subject: Subject) -> Iterator[Finding]:
    for where, panel in subject.querying_panels():
        if panel.get("datasource") != DATASOURCE:
            yield Finding(where, NAME, f"no data source {DATASOURCE['uid']}")
        if not panel.get("targets"):
            yield Finding(where, NAME, "no query")
        for target in panel.get("targets", ()):
            if target.get("datasource") != DATASOURCE:
                yield Finding(where, NAME, f"query {target.get('refId')}: no data source {DATASOURCE['uid']}")


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a panel that has no data source."""
    return subject.with_changed_panel(lambda panel: panel.update(datasource=None))


CHECK = Check(
    name=NAME,
    reason="A panel with a fixed data source shows no data in a Grafana where the source has another name.",
    run=_run,
    failing=_failing,
)
