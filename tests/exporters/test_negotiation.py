"""The format, the encoding and the families that a client gets."""

from __future__ import annotations

import gzip

import pytest
from exporter_samples import lock_waits, lookups, snapshot
from hypothesis import given
from hypothesis import strategies as st

from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.exporters.http.negotiation import (
    accepts_gzip,
    choose_format,
    compressed,
    restricted,
    wanted_names,
)

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
OM = "application/openmetrics-text"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "text"),
        ("*/*", "text"),
        ("text/*", "text"),
        (BROWSER, "text"),
        (PROMETHEUS_2, "openmetrics"),
        (PROMETHEUS_3, "openmetrics"),
        (OM, "openmetrics"),
        (f"{OM}; version=1.0.0; charset=utf-8", "openmetrics"),
        (f'{OM}; VERSION="1.0.0"', "openmetrics"),
        ("Application/OpenMetrics-Text", "openmetrics"),
        # Quality decides, not the order in which the ranges stand.
        (f"{OM};q=0.2, text/plain;q=0.9", "text"),
        (f"text/plain;q=0.2, {OM};q=0.9", "openmetrics"),
        (f"{OM};q=0, */*", "text"),
        (f"text/plain;q=0, */*;q=0.1, {OM};q=0.05", "openmetrics"),
        (f"*/*;q=1, {OM};q=0.5", "text"),
        # Equal quality: the first one named.
        (f"{OM}, text/plain", "openmetrics"),
        (f"text/plain, {OM}", "text"),
        # Versions that we do not write match nothing.
        (f"{OM};version=0.0.1", "text"),
        (f"{OM};version=2.0.0, text/plain;q=0.1", "text"),
        (f"text/plain;version=1.0.0;q=0.9, {OM};version=1.0.0;q=0.1", "openmetrics"),
        # Nothing on offer, or nonsense: text, as every client library answers.
        ("application/json", "text"),
        (f"{OM};q=banana", "text"),
        (f"{OM};q=nan", "text"),
        (";;;,,,=", "text"),
    ],
)
def test_the_format_follows_the_accept_header(accept: str, chosen: str) -> None:
    assert choose_format(accept).name == chosen


def test_the_content_type_names_only_the_version_that_is_written() -> None:
    assert choose_format(f"{OM};version=9.9.9").content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert choose_format(OM).content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"


@given(st.text(), st.text())
def test_no_header_whatever_is_an_error(accept: str, encoding: str) -> None:
    assert choose_format(accept).name in ("text", "openmetrics")
    assert accepts_gzip(encoding) in (True, False)


@pytest.mark.parametrize(
    ("accept_encoding", "answer"),
    [
        ("", False),
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("GZIP", True),
        ("*", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("*;q=0.5, gzip;q=0", False),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=0.5, identity;q=0.5", True),
        ("br, deflate", False),
    ],
)
def test_gzip_follows_the_accept_encoding_header(accept_encoding: str, answer: bool) -> None:
    assert accepts_gzip(accept_encoding) is answer


def test_compressed_chunks_are_one_gzip_stream() -> None:
    chunks = [b"abc" * 1000, b"", b"def" * 1000]
    stream = b"".join(compressed(chunks))
    assert gzip.decompress(stream) == b"".join(chunks)
    assert stream == b"".join(compressed(chunks))


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ((), ["lock", "cache"]),
        ((catalog.LOCK_WAIT_DURATION.family(),), ["lock"]),
        ((f"{catalog.LOCK_WAIT_DURATION.prometheus_name()}_bucket",), ["lock"]),
        ((catalog.CACHE_LOOKUPS.family(),), ["cache"]),
        ((catalog.CACHE_LOOKUPS.prometheus_name(),), ["cache"]),
        ((catalog.CACHE_LOOKUPS.prometheus_name(), catalog.LOCK_WAIT_DURATION.prometheus_name()), ["lock", "cache"]),
        (("no_such_family",), []),
    ],
)
def test_families_are_restricted_by_family_or_sample_name(names: tuple[str, ...], kept: list[str]) -> None:
    shot = restricted(snapshot(lock_waits(1), lookups(1, 2)), frozenset(names))
    assert [family.metric.name.split(".")[0] for family in shot.families] == kept


def test_the_wanted_names_come_from_the_query() -> None:
    assert wanted_names("") == frozenset()
    assert wanted_names("name%5B%5D=a&name[]=b&other=c") == {"a", "b"}
