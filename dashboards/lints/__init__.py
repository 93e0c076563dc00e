"""What a board must hold to: each lint is one function, and LINTS is the table of them.

They read the finished document, not the code that made it, so that what is checked is what Grafana gets.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from mnemoscope import promql
from mnemoscope.alerts.model import Alert, Pack
from mnemoscope.errors import MnemoscopeError
from mnemoscope.linting import queries as knowledge
from mnemoscope.linting.finding import Finding
from mnemoscope.model import links
from mnemoscope.model.settings import Settings

from ..board import COLUMNS, Board, raw_panels
from ..expressions import RANGE, RATE, Expressions, narrowing
from ..panels.layer import DATASOURCE

MAX_UID = 40

_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
_RANGES = re.compile(r"\[([^\]]*)\]")
_BOARD_LINK = re.compile(r"\A/d/([^/?#]+)(?:[^?#]*)?(?:\?([^#]*))?")
_VIEW_PANEL = re.compile(r"viewPanel=(\d+)")
_LABEL_VALUES = re.compile(r"label_values\((.+), *\w+\)\Z")
_RATES = frozenset({"rate", "increase", "irate"})
_EXISTENCE = frozenset({"present_over_time"})
_WITHOUT_QUERIES = frozenset({"text"})

Found = tuple[str, str]
"""The place within the board (empty: the board itself), and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a lint may look at besides the board: the other boards, the rules, the settings."""

    boards: Mapping[str, Board]
    pack: Pack
    settings: Settings

    @property
    def records(self) -> frozenset[str]:
        """Names of the recording rules."""
        return frozenset(record.name for record in self.pack.records())


def lint(boards: Sequence[Board], pack: Pack, settings: Settings) -> list[Finding]:
    """Everything that is wrong with `boards`, by board and then in the order of LINTS."""
    context = Context({board.uid: board for board in boards}, pack, settings)
    found = [
        Finding(f"{board.uid} / {where}" if where else board.uid, check, message)
        for board in boards
        for check, run in LINTS.items()
        for where, message in run(board, context)
    ]
    return found + [
        Finding(f"alert {alert.name}", "alert-panel", f"no board {alert.board!r} to link to")
        for alert in _distinct(pack)
        if alert.board not in context.boards
    ]


def parses(board: Board, context: Context) -> Iterator[Found]:
    """Every query of every kind of panel, and of annotations, is PromQL."""
    for where, expr in _expressions(board):
        try:
            promql.parse(expr)
        except MnemoscopeError as error:
            yield where, str(error)


def known_names(board: Board, context: Context) -> Iterator[Found]:
    """Every metric, record and label that is asked for exists, with the values asked for."""
    records = context.records
    for where, expr in [*_parsed(board), *_variable_selectors(board)]:
        for message in knowledge.check_selectors(expr, context.settings, records):
            yield where, message
        for message in knowledge.check_values(expr, context.settings):
            yield where, message


def rates_of_counters(board: Board, context: Context) -> Iterator[Found]:
    """A counter is read through rate, irate or increase, whatever matchers it carries, or asked whether it is there."""
    series = knowledge.known_series(context.settings)
    for where, expr in _parsed(board):
        for selector in promql.selectors(expr):
            known = series.get(selector.name)
            if known is not None and known.cumulative and selector.function not in _RATES | _EXISTENCE:
                yield where, f"{selector.name} only ever rises; take a rate of it"


def variable_matchers(board: Board, context: Context) -> Iterator[Found]:
    """Every selector narrows by the variables: records by cluster and job, all others by instance too."""
    labels = Expressions(context.settings).variable_labels()
    for where, expr in _parsed(board):
        for selector in promql.selectors(expr):
            aggregated = ":" in selector.name or selector.name in knowledge.RULE_SERIES
            for role, label in labels.items():
                if role == "instance" and aggregated:
                    continue
                if narrowing(label) not in selector.matchers:
                    yield where, f"{selector.name} lacks the matcher {narrowing(label)}"


def relative_ranges(board: Board, context: Context) -> Iterator[Found]:
    """Ranges follow the zoom: $__rate_interval, or $__range for a total."""
    for where, expr in _expressions(board):
        for written in _RANGES.findall(_QUOTED.sub('""', expr)):
            if written not in (RATE, RANGE):
                yield where, f"hard-coded range [{written}]; use {RATE}"


def data_source(board: Board, context: Context) -> Iterator[Found]:
    """Every panel with queries, and every query, names the data source variable."""
    for panel in _querying(board):
        if panel.get("datasource") != DATASOURCE:
            yield _title(panel), f"no data source {DATASOURCE['uid']}"
        if not panel.get("targets"):
            yield _title(panel), "no query"
        for target in panel.get("targets", ()):
            if target.get("datasource") != DATASOURCE:
                yield _title(panel), f"query {target.get('refId')}: no data source {DATASOURCE['uid']}"


def words(board: Board, context: Context) -> Iterator[Found]:
    """Every panel has a title and says in its description what to conclude from it."""
    for panel in raw_panels(board):
        for part in ("title", "description"):
            if not panel.get(part):
                yield _title(panel), f"no {part}"


def units(board: Board, context: Context) -> Iterator[Found]:
    """Every panel that shows numbers has a unit."""
    for panel in _querying(board):
        if not panel.get("fieldConfig", {}).get("defaults", {}).get("unit"):
            yield _title(panel), "no unit"


def distinct_ids(board: Board, context: Context) -> Iterator[Found]:
    """No two panels, rows included, share an id: a link would open either."""
    counted = Counter(panel.get("id") for panel in _placed(board))
    for number, count in counted.items():
        if number is None or count > 1:
            titles = ", ".join(_title(p) for p in _placed(board) if p.get("id") == number)
            yield "", f"panel id {number} is used {count} times: {titles}"


def no_overlap(board: Board, context: Context) -> Iterator[Found]:
    """Panels lie within the 24 columns and not on top of each other."""
    placed = [(panel, *(panel["gridPos"][side] for side in "xywh")) for panel in _placed(board) if "gridPos" in panel]
    for panel, x, _, w, _ in placed:
        if x < 0 or x + w > COLUMNS:
            yield _title(panel), f"reaches from column {x} to {x + w} of {COLUMNS}"
    for (first, ax, ay, aw, ah), (second, bx, by, bw, bh) in combinations(placed, 2):
        if ax < bx + bw and bx < ax + aw and ay < by + bh and by < ay + ah:
            yield _title(second), f"overlaps {_title(first)}"


def known_uid(board: Board, context: Context) -> Iterator[Found]:
    """The uid is one that alerts and runbooks name, and short enough for Grafana."""
    uid = board.document.get("uid") or ""
    if len(uid) > MAX_UID:
        yield "", f"uid {uid!r} is longer than {MAX_UID} characters"
    if uid not in links.BOARDS:
        yield "", f"unknown uid {uid!r}; known are {', '.join(links.BOARDS)}"


def has_variables(board: Board, context: Context) -> Iterator[Found]:
    """The board has the variables that its queries and links use."""
    there = _variables(board)
    for name in ("datasource", *Expressions(context.settings).variable_labels().values()):
        if name not in there:
            yield "", f"no variable {name!r}"


def alert_panels(board: Board, context: Context) -> Iterator[Found]:
    """The panel and variables that an alert's link names are there, and the panel leads to the alert's page."""
    panels = {panel.get("id"): panel for panel in raw_panels(board)}
    for alert in _distinct(context.pack):
        if alert.board != board.uid:
            continue
        panel = panels.get(links.panel_id(alert.panel))
        if panel is None:
            yield "", f"alert {alert.name} leads to panel {alert.panel!r}, which is not there"
            continue
        for name in alert.variables:
            if name not in _variables(board):
                yield "", f"alert {alert.name} sets variable {name!r}, which is not there"
        page = links.runbook_url(context.settings.runbook_base_url, alert.name)
        if page not in {link.get("url") for link in panel.get("links", ())}:
            yield _title(panel), f"no link to the runbook of alert {alert.name}"


def known_links(board: Board, context: Context) -> Iterator[Found]:
    """A link to a board leads to one that exists, and to a panel on it that exists."""
    for where, url in _urls(board):
        for uid, query in _BOARD_LINK.findall(url.removeprefix(context.settings.grafana_url)):
            target = context.boards.get(uid)
            if target is None:
                yield where, f"links to unknown board {uid!r}"
                continue
            for number in _VIEW_PANEL.findall(query):
                if int(number) not in target.keys:
                    yield where, f"links to panel {number}, which is not on {uid}"


LINTS: Mapping[str, Callable[[Board, Context], Iterator[Found]]] = {
    "unparsable-query": parses,
    "unknown-name": known_names,
    "counter-without-rate": rates_of_counters,
    "missing-matcher": variable_matchers,
    "hard-coded-range": relative_ranges,
    "no-data-source": data_source,
    "no-words": words,
    "no-unit": units,
    "duplicate-id": distinct_ids,
    "overlap": no_overlap,
    "uid": known_uid,
    "no-variable": has_variables,
    "alert-panel": alert_panels,
    "unknown-link": known_links,
}
"""Every lint by the name that a problem carries."""


def _title(panel: Mapping[str, Any]) -> str:
    return str(panel.get("title") or f"panel {panel.get('id')}")


def _placed(board: Board) -> Iterator[Mapping[str, Any]]:
    """Every panel and every row."""
    for panel in board.document["panels"]:
        yield panel
        yield from panel.get("panels", ())


def _querying(board: Board) -> Iterator[Mapping[str, Any]]:
    return (panel for panel in raw_panels(board) if panel.get("type") not in _WITHOUT_QUERIES)


def _expressions(board: Board) -> Iterator[Found]:
    """Every query of panels and annotations, with where it is."""
    for panel in raw_panels(board):
        for target in panel.get("targets", ()):
            yield f"{_title(panel)} / {target.get('refId')}", target.get("expr") or ""
    for annotation in board.document["annotations"]["list"]:
        if "expr" in annotation:
            yield f"annotation {annotation.get('name')}", annotation["expr"]


def _parsed(board: Board) -> Iterator[Found]:
    """The expressions that parse; `parses` speaks of the others."""
    for where, expr in _expressions(board):
        try:
            promql.parse(expr)
        except MnemoscopeError:
            continue
        yield where, expr


def _variable_selectors(board: Board) -> Iterator[Found]:
    for variable in board.document["templating"]["list"]:
        match = _LABEL_VALUES.match(variable.get("definition", ""))
        if match:
            yield f"variable {variable.get('name')}", match[1]


def _variables(board: Board) -> set[str]:
    return {str(variable.get("name")) for variable in board.document["templating"]["list"]}


def _urls(board: Board) -> Iterator[Found]:
    for link in board.document.get("links", ()):
        yield f"link {link.get('title')}", link.get("url") or ""
    for panel in raw_panels(board):
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        for link in [*panel.get("links", ()), *defaults.get("links", ())]:
            yield _title(panel), link.get("url") or ""


def _distinct(pack: Pack) -> list[Alert]:
    """One rule a name, board and panel."""
    return list({(alert.name, alert.board, alert.panel): alert for alert in pack.alerts()}.values())
