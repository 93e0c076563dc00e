"""Content negotiation by RFC 9110: which format and encoding a client gets, and which families.

A format is offered in exactly the version that is written. Any other version matches nothing. A client that accepts
none of the formats gets the default one, as from every Prometheus client library: a page that a person can read is
more useful than a 406.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import parse_qs

from ...catalog import Metric
from ...recording.snapshot import Snapshot
from ..formats import FORMATS, Format

# Level 1 takes a third of the time of the default level, and still shrinks a page to a tenth.
_GZIP_LEVEL = 1
_GZIP_WINDOW = 31


class _Range(NamedTuple):
    """One element of an Accept-like header."""

    value: str
    parameters: dict[str, str]
    quality: float


def choose_format(accept: str) -> Format:
    """Return the format for this Accept header: highest quality, then most specific range, then the first named.

    >>> choose_format("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5").name
    'openmetrics'
    >>> choose_format("application/openmetrics-text;version=7.0.0, */*;q=0.1").name
    'text'
    """
    ranges = _ranges(accept)
    best, best_rank = FORMATS[0], (0.0, 0, 0)
    for offer in FORMATS:
        if offer.path:
            continue
        matches = [
            (specificity, -position, element.quality)
            for position, element in enumerate(ranges, start=1)
            if (specificity := _specificity(element, offer))
        ]
        # The most specific range decides about an offer, even if a wildcard has a higher quality.
        specificity, position, quality = max(matches, default=(0, 0, 0.0))
        if quality > 0 and (quality, specificity, position) > best_rank:
            best, best_rank = offer, (quality, specificity, position)
    return best


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether the client prefers gzip to the plain body, or accepts both equally."""
    qualities = {element.value: element.quality for element in _ranges(accept_encoding)}
    gzip = qualities.get("gzip", qualities.get("*", 0.0))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)


def compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks as one gzip stream; equal input gives equal bytes."""
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    for chunk in chunks:
        if data := compressor.compress(chunk):
            yield data
    yield compressor.flush()


def wanted_names(query: str) -> frozenset[str]:
    """Return the values of `name[]` in a query string; none means all families."""
    return frozenset(parse_qs(query).get("name[]", ()))


def restricted(snapshot: Snapshot, names: frozenset[str]) -> Snapshot:
    """Return the snapshot with the families that have one of these family or sample names.

    Families stay whole: no parser accepts a histogram without its count.
    """
    if not names:
        return snapshot
    prefix = snapshot.prefix

    def is_wanted(metric: Metric) -> bool:
        return not names.isdisjoint(
            (metric.family(prefix), metric.prometheus_name(prefix), *metric.sample_names(prefix))
        )

    return snapshot._replace(families=tuple(family for family in snapshot.families if is_wanted(family.metric)))


def _specificity(element: _Range, offer: Format) -> int:
    """Return how closely a range names an offer: 0 not at all, 1 `*/*`, 2 `text/*`, 3 the type, 4 with its version."""
    (offered,) = _ranges(offer.content_type)
    if element.value == "*/*":
        return 1
    if element.value == offered.value.split("/")[0] + "/*":
        return 2
    if element.value != offered.value:
        return 0
    version = element.parameters.get("version")
    if version is None:
        return 3
    return 4 if version == offered.parameters.get("version") else 0


def _ranges(header: str) -> list[_Range]:
    """Return the elements of an Accept or Accept-Encoding header; one that cannot be parsed counts as refused."""
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
    # This comparison also refuses NaN.
    return min(quality, 1.0) if quality > 0 else 0.0
