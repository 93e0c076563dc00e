"""OpenMetrics 1.0.0: the text format with units and exemplars, line by line as prometheus_client writes it."""

from __future__ import annotations

from collections.abc import Iterator

from ...recording.snapshot import Snapshot
from .chunks import encoded_chunks
from .format import Format
from .text_lines import family_lines


def render_openmetrics(snapshot: Snapshot) -> Iterator[bytes]:
    """Return the snapshot in OpenMetrics, in chunks; it ends with `# EOF`."""
    return encoded_chunks(_pieces(snapshot))


def _pieces(snapshot: Snapshot) -> Iterator[str]:
    for family in snapshot.families:
        lines = family_lines(snapshot.prefix, family.metric)
        yield lines.openmetrics_head
        yield from lines.series(family.points, exemplars=True)
    yield "# EOF\n"


FORMAT = Format("openmetrics", "application/openmetrics-text; version=1.0.0; charset=utf-8", render_openmetrics)
