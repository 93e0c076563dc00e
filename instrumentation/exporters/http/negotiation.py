"""Which format and encoding a client gets, by RFC 9110, and which families it asked for.

A format is offered in exactly the versions that can be written; a version we cannot write matches nothing and
is never echoed. Whoever accepts nothing on offer still gets the text format, as every Prometheus client does:
a scrape that a person can read beats a 406.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qs

from ...recording.snapshot import Snapshot
from ..formats.json_document import JSON_CONTENT_TYPE, render_json
from ..formats.text import OPENMETRICS_CONTENT_TYPE, TEXT_CONTENT_TYPE, render_openmetrics, render_text

# Level 1 costs a third of the default's time and gives a tenth of the plain size all the same.
_GZIP_LEVEL = 1
_GZIP_WINDOW = 31


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a snapshot.

    Attributes:
        name: as the label `format` of the scrape-duration metric has it.
        media_type: without parameters.
        version: the only one that is written.
        content_type: what the response says.
        render: snapshot to chunks.
    """

    name: str
    media_type: str
    version: str
    content_type: str
    render: Callable[[Snapshot], Iterator[bytes]]


TEXT = Format("text", "text/plain", "0.0.4", TEXT_CONTENT_TYPE, render_text)
OPENMETRICS = Format(
    "openmetrics", "application/openmetrics-text", "1.0.0", OPENMETRICS_CONTENT_TYPE, render_openmetrics
)
JSON = Format("json", "application/json", "", JSON_CONTENT_TYPE, render_json)
OFFERS = (TEXT, OPENMETRICS)
"""What `/metrics` can be, the first one preferred where a client does not care."""


class _Range(NamedTuple):
    """One element of an Accept-like header."""

    value: str
    parameters: dict[str, str]
    quality: float


def choose_format(accept: str) -> Format:
    """The format for this Accept header: highest quality, then the most specific range, then the first named.

    >>> choose_format("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5").name
    'openmetrics'
    >>> choose_format("application/openmetrics-text;version=7.0.0, */*;q=0.1").name
    'text'
    """
    ranges = _ranges(accept)
    best, best_rank = TEXT, (0.0, 0, 0)
    for offer in OFFERS:
        matches = [
            (specificity, -position, element.quality)
            for position, element in enumerate(ranges, start=1)
            if (specificity := _specificity(element, offer))
        ]
        # The most specific range decides about an offer, even if a wildcard would rate it higher.
        specificity, position, quality = max(matches, default=(0, 0, 0.0))
        if quality > 0 and (quality, specificity, position) > best_rank:
            best, best_rank = offer, (quality, specificity, position)
    return best


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the client wants gzip at least as much as the plain body."""
    qualities = {element.value: element.quality for element in _ranges(accept_encoding)}
    gzip = qualities.get("gzip", qualities.get("*", 0.0))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)


def compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks as one gzip stream, the same bytes for the same input."""
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    for chunk in chunks:
        if data := compressor.compress(chunk):
            yield data
    yield compressor.flush()


def wanted_names(query: str) -> frozenset[str]:
    """The values of `name[]` in a query string; empty means all families."""
    return frozenset(parse_qs(query).get("name[]", ()))


def restricted(snapshot: Snapshot, names: frozenset[str]) -> Snapshot:
    """The snapshot with the families that have one of these family or sample names; always whole families.

    A histogram cut down to its buckets would be one that no parser takes.
    """
    if not names:
        return snapshot
    prefix = snapshot.prefix
    return snapshot._replace(
        families=tuple(
            family
            for family in snapshot.families
            if not names.isdisjoint(
                (
                    family.metric.family(prefix),
                    family.metric.prometheus_name(prefix),
                    *family.metric.sample_names(prefix),
                )
            )
        )
    )


def _specificity(element: _Range, offer: Format) -> int:
    """How closely a range names an offer: 0 not at all, 1 `*/*`, 2 `text/*`, 3 the type, 4 with its version."""
    if element.value == "*/*":
        return 1
    if element.value == offer.media_type.split("/")[0] + "/*":
        return 2
    if element.value != offer.media_type:
        return 0
    version = element.parameters.get("version")
    if version is None:
        return 3
    return 4 if version == offer.version else 0


def _ranges(header: str) -> list[_Range]:
    """The elements of an Accept or Accept-Encoding header; what cannot be parsed counts as refused."""
    found = []
    for element in header.split(","):
        value, *rest = element.split(";")
        if not value.strip():
            continue
        parameters = {
            name.strip().lower(): text.strip().strip('"') for name, _, text in (part.partition("=") for part in rest)
        }
        found.append(_Range(value.strip().lower(), parameters, _quality(parameters.get("q", "1"))))
    return found


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    # Written so that NaN is refused too.
    return min(quality, 1.0) if quality > 0 else 0.0
