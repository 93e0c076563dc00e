"""The Prometheus text format 0.0.4 and OpenMetrics 1.0.0.

Line by line what prometheus_client writes for the same data. As there, a labelled family of which nothing
was recorded yet keeps its `# HELP` and `# TYPE`, if the snapshot holds it. Series keep the snapshot's order.
`_created` series are not written: they double the series of a counter and nothing here reads them.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...recording.snapshot import HistogramPoint, Snapshot
from ...recording.yielding import breathing
from .text_lines import family_lines

TEXT_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

CHUNK_CHARACTERS = 64 * 1024
"""About how much text one chunk holds: enough to be worth a write, little enough to compress or send in a blink."""

_PIECES_A_BREATH = 128


def render_text(snapshot: Snapshot) -> Iterator[bytes]:
    """The snapshot in the Prometheus text format, in chunks. Exemplars have no place in it and are left out."""
    return _chunks(_pieces(snapshot, openmetrics=False))


def render_openmetrics(snapshot: Snapshot) -> Iterator[bytes]:
    """The snapshot in OpenMetrics, in chunks, with units and exemplars; ends with `# EOF`."""
    return _chunks(_pieces(snapshot, openmetrics=True))


def _pieces(snapshot: Snapshot, *, openmetrics: bool) -> Iterator[str]:
    for family in snapshot.families:
        lines = family_lines(snapshot.prefix, family.metric)
        yield lines.openmetrics_head if openmetrics else lines.text_head
        for point in family.points:
            if isinstance(point, HistogramPoint):
                yield lines.histogram(point, openmetrics)
            else:
                yield lines.number(point, openmetrics)
    if openmetrics:
        yield "# EOF\n"


def _chunks(pieces: Iterator[str]) -> Iterator[bytes]:
    held: list[str] = []
    size = 0
    for piece in breathing(pieces, _PIECES_A_BREATH):
        held.append(piece)
        size += len(piece)
        if size >= CHUNK_CHARACTERS:
            yield _encoded(held)
            held, size = [], 0
    if held:
        yield _encoded(held)


def _encoded(pieces: list[str]) -> bytes:
    # A lone surrogate in a label value must not cost the whole scrape.
    return "".join(pieces).encode("utf-8", "replace")
