"""The settings of an OTLP push, from its caller and from OpenTelemetry's standard environment variables, checked.

A mistake of the caller is an error at set-up. A mistake in the environment is one warning, and stops no service.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from ..arguments import mapping, seconds
from ..failures import log_warning

HTTP, GRPC = "http/protobuf", "grpc"
PROTOCOLS = (HTTP, GRPC)
DEFAULT_INTERVAL = 10.0
_METRICS_PATH = "/v1/metrics"
_SCHEMES = ("http", "https")
_INTERVAL_VARIABLE = "OTEL_METRIC_EXPORT_INTERVAL"
_DELTA_PREFERENCES = ("delta", "lowmemory")
_SPACE = re.compile(r"\s")
_HEADER_NAME = re.compile(r"[0-9A-Za-z_.-]+")


class Settings(NamedTuple):
    """How to push.

    Attributes:
        protocol: one of `PROTOCOLS`.
        interval: seconds between pushes.
        exporter: the arguments of the exporter's class, which reads missing ones from the environment.
        usable: False if the environment's endpoint is invalid; then nothing is pushed.
        delta: push the increase since the last push, not totals.
    """

    protocol: str
    interval: float
    exporter: dict[str, Any]
    usable: bool
    delta: bool


def settings(
    endpoint: str | None,
    protocol: str | None,
    interval: float | None,
    timeout: float | None,
    headers: Mapping[str, str] | None,
    insecure: bool | None,
) -> Settings:
    """Return the settings for these arguments of a pusher.

    Raises:
        ValueError: an argument cannot be used.
        TypeError: the endpoint is not a string, or the headers are not a mapping.
    """
    chosen = _protocol(protocol)
    if insecure not in (None, True, False):
        raise ValueError(f"insecure must be True or False, not {insecure!r}")
    if insecure is not None and chosen != GRPC:
        raise ValueError(f"insecure is for gRPC: over {chosen} the endpoint begins with http:// or https://")
    exporter: dict[str, Any] = {
        "timeout": None if timeout is None else seconds("timeout", timeout),
        "headers": _headers(headers),
    }
    if chosen == GRPC:
        exporter["insecure"] = insecure
    usable = True
    if endpoint is None:
        usable = _usable(_environment("ENDPOINT"), chosen)
    elif chosen == HTTP:
        exporter["endpoint"] = _url(endpoint)
    else:
        exporter["endpoint"], exporter["insecure"] = endpoint, _insecure(endpoint, insecure)
    return Settings(
        chosen,
        _interval() if interval is None else seconds("interval", interval),
        exporter,
        usable,
        _environment("TEMPORALITY_PREFERENCE").lower() in _DELTA_PREFERENCES,
    )


def _protocol(given: str | None) -> str:
    if given:
        if given not in PROTOCOLS:
            raise ValueError(f"OTLP protocol {given!r} is unknown; use one of {', '.join(PROTOCOLS)}")
        return given
    named = _environment("PROTOCOL")
    if named and named not in PROTOCOLS:
        log_warning("OTLP protocol %r of the environment is unknown: %s is used", named, HTTP)
        return HTTP
    return named or HTTP


def _interval() -> float:
    """Return the interval in seconds; the standard variable holds milliseconds."""
    text = os.environ.get(_INTERVAL_VARIABLE, "").strip()
    if not text:
        return DEFAULT_INTERVAL
    try:
        return seconds(_INTERVAL_VARIABLE, float(text) / 1000)
    except ValueError:
        log_warning(
            "%s=%r is not a number of milliseconds: %g seconds are used", _INTERVAL_VARIABLE, text, DEFAULT_INTERVAL
        )
        return DEFAULT_INTERVAL


def _usable(named: str, protocol: str) -> bool:
    """Return whether the environment's endpoint, if any, is valid; with an invalid one, every push would fail."""
    try:
        if named:
            _parts(named, with_scheme=protocol == HTTP)
    except ValueError as error:
        log_warning("nothing is pushed, the environment's %s", error)
        return False
    return True


def _url(endpoint: str) -> str:
    """Return the URL to post to: `endpoint`, with the standard path if it has none."""
    parts = _parts(endpoint, with_scheme=True)
    return endpoint if parts.path not in ("", "/") else parts._replace(path=_METRICS_PATH).geturl()


def _insecure(endpoint: str, given: bool | None) -> bool:
    """Return whether a gRPC endpoint is used without TLS; its scheme decides, if it has one."""
    scheme = _parts(endpoint, with_scheme=False).scheme
    if scheme in _SCHEMES:
        if given not in (None, scheme == "http"):
            raise ValueError(f"OTLP endpoint {endpoint!r} contradicts insecure={given}: leave one of the two out")
        return scheme == "http"
    if given is None and (named := _environment("INSECURE")):
        return named.lower() == "true"
    if given is None:
        raise ValueError(
            f"OTLP endpoint {endpoint!r} has no scheme: write http:// or https:// before it,"
            " or give insecure=True or insecure=False"
        )
    return given


def _parts(endpoint: str, *, with_scheme: bool) -> SplitResult:
    if not isinstance(endpoint, str):
        raise TypeError(f"OTLP endpoint must be a string, not {endpoint!r}")
    try:
        parts = urlsplit(endpoint if "/" in endpoint else f"//{endpoint}")
        parts.port  # noqa: B018  # reading it checks it
    except ValueError as error:
        raise ValueError(f"OTLP endpoint {endpoint!r} cannot be used: {error}") from None
    with_scheme = with_scheme or parts.scheme in _SCHEMES
    if not endpoint or _SPACE.search(endpoint) or (with_scheme and not (parts.scheme in _SCHEMES and parts.hostname)):
        raise ValueError(f"OTLP endpoint {endpoint!r} must be http://host:port or https://host:port")
    return parts


def _headers(given: Mapping[str, str] | None) -> dict[str, str] | None:
    """Return the headers with names in lower case, as gRPC requires. No message shows a value, which may be secret."""
    headers = {}
    for name, text in mapping("headers", given or {}).items():
        if not (isinstance(name, str) and _HEADER_NAME.fullmatch(name)):
            raise ValueError(f"OTLP header {name!r} must be a name of letters, digits, dashes, dots and underscores")
        if not (isinstance(text, str) and text.isascii() and text.isprintable()):
            raise ValueError(f"OTLP header {name!r} must be one line of ASCII text; check for a line break at its end")
        headers[name.lower()] = text
    return headers or None


def _environment(name: str) -> str:
    """Return the value of a standard variable: the one for metrics, or else the one for all signals."""
    for prefix in ("OTEL_EXPORTER_OTLP_METRICS_", "OTEL_EXPORTER_OTLP_"):
        if value := os.environ.get(prefix + name, "").strip():
            return value
    return ""
