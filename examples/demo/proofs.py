"""The claims of the demo, each checked against the running Prometheus.

A function here checks one claim once and returns a `Proof`: what it found, and every failure. `until` repeats a check
until the claim holds or the time is up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mnemoscope import dashboards
from mnemoscope.dashboards import Board, ShownPanel
from mnemoscope.errors import MnemoscopeError
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.model.settings import Settings
from mnemoscope.model.units import humanize, seconds

from .prometheus import PrometheusServer, Refused

_POLL_SECONDS = 0.25
_PANEL_STEPS = 10
_QUERIES_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of checking one claim.

    Attributes:
        claim: what should hold.
        found: what was found, in a few words.
        failures: every failure; empty if the claim holds.
    """

    claim: str
    found: str
    failures: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether there is no failure."""
        return not self.failures


@dataclass(frozen=True, slots=True)
class Limit:
    """A value that a panel has to exceed, and its unit."""

    value: float
    unit: Unit

    def show(self, value: float) -> str:
        """Return `value` as text with the unit."""
        return humanize(float(f"{value:.3g}"), self.unit)


def until(check: Callable[[], Proof], limit: float) -> Proof:
    """Repeat a check until the claim holds, for at most `limit` seconds; return the last proof."""
    end = time.monotonic() + limit
    while True:
        proof = check()
        if proof.holds or time.monotonic() > end:
            return proof
        time.sleep(_POLL_SECONDS)


def targets_up(prometheus: PrometheusServer, addresses: Iterable[str]) -> Proof:
    """Prove that every address is a target whose last scrape succeeded."""
    seen = {target["labels"]["instance"]: target for target in prometheus.targets()}
    wanted = sorted(addresses)
    failures = [
        f"{address}: {(seen[address]['lastError'] or seen[address]['health']) if address in seen else 'no such target'}"
        for address in wanted
        if address not in seen or seen[address]["health"] != "up"
    ]
    return Proof("all targets are up", f"{len(wanted) - len(failures)} of {len(wanted)}", tuple(failures))


def rules_evaluate(prometheus: PrometheusServer) -> Proof:
    """Prove that every rule of every group was evaluated without an error."""
    groups = prometheus.rules()
    rules = [(group["name"], rule) for group in groups for rule in group["rules"]]
    failures = [
        f"{group}/{rule['name']}: {rule.get('lastError') or 'not evaluated yet'}"
        for group, rule in rules
        if rule["health"] != "ok"
    ]
    if not rules:
        failures = ["Prometheus has no rules"]
    return Proof(
        "every rule group evaluates without error", f"{len(groups)} groups, {len(rules)} rules", tuple(failures)
    )


def panels_have_data(prometheus: PrometheusServer, boards: Sequence[Board], settings: Settings) -> Proof:
    """Prove that every query of every panel returns data when it is sent as Grafana sends it."""
    asked = [(board, *query) for board in boards for query in dashboards.queries(board)]

    def failure(query: tuple[Board, str, int, str, str]) -> str | None:
        board, title, _, ref_id, expression = query
        reason = _no_data(prometheus, dashboards.substitute(expression, settings.rate_window, "5m"), settings)
        return f"{board.uid} / {title} / {ref_id}: {reason}" if reason else None

    with ThreadPoolExecutor(_QUERIES_AT_ONCE) as pool:
        failures = tuple(filter(None, pool.map(failure, asked)))
    found = f"{len(asked) - len(failures)} of {len(asked)} queries, {len(boards)} boards"
    return Proof("every query of every panel returns data", found, failures if asked else ("no panel has a query",))


def _no_data(prometheus: PrometheusServer, expression: str, settings: Settings) -> str | None:
    """Return the reason why a panel with this query is empty; None if it has data."""
    now, step = time.time(), seconds(settings.scrape_interval)
    try:
        series = prometheus.query_range(expression, start=now - _PANEL_STEPS * step, end=now, step=step)
    except Refused as error:
        return str(error)
    if not series:
        return "no series"
    if not any(math.isfinite(float(value)) for one in series for _, value in one["values"]):
        return "nothing but NaN"
    return None


def alert_is(prometheus: PrometheusServer, name: str, severity: str, state: str) -> Proof:
    """Prove that the alert is `inactive`, `pending` or `firing`; its worst instance counts."""
    states = {alert["state"] for alert in _alerts(prometheus, name, severity)}
    worst = next((s for s in ("firing", "pending") if s in states), "inactive")
    return Proof(f"{name} ({severity}) is {state}", worst, () if worst == state else (f"it is {worst}",))


def alert_annotations(prometheus: PrometheusServer, name: str, severity: str) -> Mapping[str, str]:
    """Return the annotations of the firing alert.

    Raises:
        MnemoscopeError: it does not fire.
    """
    for alert in _alerts(prometheus, name, severity):
        if alert["state"] == "firing":
            annotations: Mapping[str, str] = alert["annotations"]
            return annotations
    raise MnemoscopeError(f"{name} ({severity}) does not fire", exit_code=1)


def _alerts(prometheus: PrometheusServer, name: str, severity: str) -> Iterator[Mapping[str, Any]]:
    for alert in prometheus.alerts():
        if alert["labels"]["alertname"] == name and alert["labels"].get("severity") == severity:
            yield alert


def runbook_exists(url: str, settings: Settings, pages: Path) -> Proof:
    """Prove that the address is below the base of the runbooks, and that its page exists and is not empty."""
    base = f"{settings.runbook_base_url}/"
    page = pages / url.removeprefix(base)
    if not url.startswith(base):
        failures: tuple[str, ...] = (f"{url or 'no address'} is not under {base}",)
    elif not (page.is_file() and page.read_text(encoding="utf-8").strip()):
        failures = (f"{page} is not there, or empty",)
    else:
        failures = ()
    return Proof("runbook_url leads to a page", f"{url} -> {pages.name}/{page.name}", failures)


def panel_exists(url: str, settings: Settings, boards: Sequence[Board]) -> Proof:
    """Prove that the address is Grafana's, and that its board and panel exist."""
    address = urlsplit(url)
    board = next((b for b in boards if address.path == f"{urlsplit(settings.grafana_url).path}/d/{b.uid}"), None)
    wanted = parse_qs(address.query).get("viewPanel", [""])[0]
    panel = next((p for p in board.panels if str(p.id) == wanted), None) if board else None
    if not url.startswith(f"{settings.grafana_url}/"):
        failures: tuple[str, ...] = (f"{url or 'no address'} is not under {settings.grafana_url}",)
    elif board is None:
        failures = (f"no board at {address.path}",)
    elif panel is None:
        failures = (f"board {board.uid} has no panel {wanted or 'in its address'}",)
    else:
        failures = ()
    where = f"{board.title} / {panel.title}" if board and panel else "nowhere"
    return Proof("dashboard_url leads to a board and a panel", f"{url} -> {where}", failures)


def panel_moved(
    prometheus: PrometheusServer, panel: ShownPanel, settings: Settings, limit: Limit, since: float
) -> Proof:
    """Prove that the panel shows a value above the limit now, and showed less at the Unix time `since`."""
    expressions = [dashboards.substitute(expr, settings.rate_window, "5m") for _, expr in panel.queries]
    before, now = (_highest(prometheus, expressions, at) for at in (since, time.time()))
    failures = []
    if not now > limit.value:
        failures.append(f"it shows {limit.show(now)}")
    elif not now > before:
        failures.append(f"it showed {limit.show(before)} before")
    return Proof(
        f"the panel {panel.title!r} passes {limit.show(limit.value)}",
        f"{limit.show(before)} before, {limit.show(now)} now",
        tuple(failures),
    )


def _highest(prometheus: PrometheusServer, expressions: Iterable[str], at: float) -> float:
    """Return the highest value of all series at a Unix time; 0 where there is none."""
    found = [prometheus.query_range(expression, start=at, end=at, step=1) for expression in expressions]
    values = (float(value) for series in found for one in series for _, value in one["values"])
    return max(filter(math.isfinite, values), default=0.0)
