"""The Prometheus text format 0.0.4, line by line as prometheus_client writes it.

A labelled family without recordings keeps its `# HELP` and `# TYPE`, as in prometheus_client. Series keep the order of
the snapshot. The format has no exemplars. `_created` series are not written: they would double the series of a counter.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...recording.snapshot import Snapshot
from .chunks import encoded_chunks
from .format import Format
from .text_lines import family_lines


def render_text(snapshot: Snapshot) -> Iterator[bytes]:
    """Return the snapshot in the Prometheus text format, in chunks."""
    return encoded_chunks(_pieces(snapshot))


def _pieces(snapshot: Snapshot) -> Iterator[str]:
    for family in snapshot.families:
        lines = family_lines(snapshot.prefix, family.metric)
        yield lines.text_head
        yield from lines.series(family.points, exemplars=False)


FORMAT = Format("text", "text/plain; version=0.0.4; charset=utf-8", render_text)
