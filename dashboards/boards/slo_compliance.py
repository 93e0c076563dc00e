"""Whether the service keeps its objectives, how much of each error budget is left, and how fast it goes.

Everything comes from the records that the burn-rate alerts read, and the lines are the alerts' own factors.
"""

from __future__ import annotations

from decimal import Decimal

from mnemoscope import promql
from mnemoscope.alerts import record_names
from mnemoscope.alerts.rules import burn_rate
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Metric, Unit
from mnemoscope.model import links
from mnemoscope.model.objectives import Objective
from mnemoscope.model.settings import Settings
from mnemoscope.model.units import number
from mnemoscope.promql import Matcher

from ..board import Board, Section, assemble
from ..panels.constructors import bargauge, gauge, stat, table, text, timeseries
from ..panels.layer import Panel
from ..panels.query import Query
from ..panels.style import BLUE, GREEN, ORANGE, PALETTE, PER_SECOND, RED, YELLOW, Line, Step, zones
from ..view import View

UID = "slo-compliance"

# Yellow while less than a quarter of the budget is left; red when it is spent.
_BUDGET_LOW = 0.25

# Where the signal behind an objective is looked into: a panel of the board dual-memory.
_SIGNALS: dict[Metric, str] = {
    c.RECALL_DURATION: "recall-latency",
    c.INDEX_WRITE_DURATION: "index-write",
    c.STORAGE_OPERATION_DURATION: "storage-error-ratio",
    c.REQUEST_DURATION: "request-errors",
}


def build(settings: Settings) -> Board:
    """The board for one site."""
    view = View(settings)
    objectives = settings.all_objectives()
    return assemble(
        settings,
        UID,
        "Compliance, error budget and burn rate of every objective, and whether the service is there at all.",
        [
            _now(view),
            Section("Compliance over the period", [_compliance(view, objective) for objective in objectives]),
            Section("Error budget left", [_budget(view, objective) for objective in objectives]),
            *(_burning(view, objective) for objective in objectives),
            _text(settings),
        ],
    )


def _now(view: View) -> Section:
    settings = view.settings
    return Section(
        "Now",
        [
            stat(
                "alerts-firing",
                "Alerts firing",
                "How many alerts fire; the table names them.",
                Unit.COUNT,
                Query(f"count({_alerts(view)}) or vector(0)", "firing"),
                steps=(Step(GREEN), Step(RED, 1)),
                decimals=0,
                trend=False,
                width=3,
            ),
            stat(
                "deadlocks",
                "Deadlocks",
                "Deadlocks in the time range; the objective is none.",
                Unit.COUNT,
                Query(view.total(c.LOCK_DEADLOCKS), "deadlocks"),
                steps=zones(settings.threshold("lock_deadlocks")),
                decimals=0,
                trend=False,
                width=3,
            ),
            timeseries(
                "targets-up",
                "Targets up",
                "Instances that Prometheus reaches, and all it knows of. Apart: one is down. No line at "
                "all: the service "
                "is gone, or is not scraped.",
                Unit.COUNT,
                Query(f"sum({_up(view)})", "up", color=GREEN),
                Query(f"count({_up(view)})", "known", color=BLUE, line="dash"),
                width=9,
            ),
            table(
                "alerts-table",
                "Firing alerts",
                "The alerts that fire, with what tells them apart; one row `none` while all is quiet.",
                Unit.COUNT,
                Query(_alert_rows(view), ""),
                columns={"alertname": "Alert", "severity": "Severity", "job": "Job", "Value": "Series"},
                width=9,
            ),
        ],
    )


def _up(view: View) -> str:
    # The job is named besides the variable: with All selected, other services' targets would be counted too.
    return view.live.up(Matcher("job", "=", view.settings.job))


def _alerts(view: View) -> str:
    return view.record("ALERTS", Matcher("alertstate", "=", "firing"))


def _alert_rows(view: View) -> str:
    firing = promql.by(("alertname", "severity", "job"), _alerts(view))
    return f'{firing} or (label_replace(vector(0), "alertname", "none", "", "") unless on () {firing})'


def _bad_share(view: View, objective: Objective, window: str) -> str:
    """Share of bad events by job; 0 while a job that is there serves nothing."""
    bad = view.record(record_names.slo_ratio(view.settings, objective, window))
    return f"({bad} or 0 * {view.record(record_names.slo_total(view.settings, objective))})"


def _compliance(view: View, objective: Objective) -> Panel:
    target, budget = objective.target, objective.budget
    # Green keeps half of the budget in hand; below the target it is spent.
    steps = (Step(RED), Step(YELLOW, float(target)), Step(GREEN, float(target + budget / 2)))
    return gauge(
        f"compliance-{objective.key}",
        objective.title,
        f"Share of good events over {objective.period}. Objective: {objective.description}. Yellow: half "
        "of the error "
        "budget is gone; red: the objective is missed.",
        Unit.RATIO,
        Query(f"1 - {_bad_share(view, objective, objective.period)}", "{{job}}"),
        steps=steps,
        minimum=float(1 - 4 * budget),
        decimals=3,
    )


def _budget(view: View, objective: Objective) -> Panel:
    spent = f"{_bad_share(view, objective, objective.period)} / {number(objective.budget)}"
    return bargauge(
        f"budget-{objective.key}",
        objective.title,
        f"Share of the error budget that is left of {objective.period}; 0 is spent, below 0 overspent.",
        Unit.RATIO,
        Query(f"1 - {spent}", "{{job}}"),
        steps=(Step(RED), Step(YELLOW, 1e-9), Step(GREEN, _BUDGET_LOW)),
        minimum=-1,
        maximum=1,
        width=6,
    )


def _burning(view: View, objective: Objective) -> Section:
    settings = view.settings
    ok, bad = record_names.slo_total(settings, objective), record_names.slo_errors(settings, objective)
    return Section(
        f"Budget of {objective.title.lower()}",
        [
            timeseries(
                f"events-{objective.key}",
                f"{objective.title}: events",
                "All events and bad ones a second. Few events make a ratio jumpy; judge it with this beside it.",
                PER_SECOND,
                Query(view.record(bad), "bad {{job}}", color=RED, line="dash"),
                Query(view.record(ok), "all {{job}}", color=BLUE),
                width=8,
            ),
            timeseries(
                f"burn-rate-{objective.key}",
                f"{objective.title}: burn rate",
                "How many times faster than allowed the budget is spent; 1 spends it exactly in the "
                "period. An alert fires "
                "when a solid line and the dashed one of its colour are both above the line of its factor.",
                "none",
                *_burn_rates(view, objective),
                steps=_factors(objective),
                width=16,
                data_links=[_signal(view, objective)],
            ),
        ],
    )


# The line of a pair's long and of its short window.
_LONG: Line = "solid"
_SHORT: Line = "dash"


def _burn_rates(view: View, objective: Objective) -> list[Query]:
    budget = number(objective.budget)
    return [
        Query(f"{_bad_share(view, objective, window)} / {budget}", f"{window} {{{{job}}}}", color=color, line=line)
        for pair, color in zip(burn_rate.WINDOWS, PALETTE, strict=False)
        for window, line in ((pair.long, _LONG), (pair.short, _SHORT))
    ]


def _factors(objective: Objective) -> tuple[Step, ...]:
    """The alerts' factors, each once; those that wake somebody are red."""
    factors: dict[Decimal, str] = {}
    for window in burn_rate.WINDOWS:
        factors[window.factor(objective)] = RED if window.severity == "critical" else ORANGE
    return (Step(GREEN), *(Step(factors[value], float(value)) for value in sorted(factors)))


def _signal(view: View, objective: Objective) -> dict[str, object]:
    panel = links.panel_id(_SIGNALS[objective.metric])
    variables = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", *view.variable_labels().values()))
    return {
        "title": "The signal behind it",
        "url": f"/d/dual-memory?${{__url_time_range}}&{variables}&viewPanel={panel}",
        "targetBlank": False,
    }


def _text(settings: Settings) -> Section:
    rows = "\n".join(
        f"| {objective.title} | {objective.description} | {_sources(objective)} |"
        for objective in settings.all_objectives()
    )
    return Section(
        "Objectives",
        [
            text(
                "objectives",
                "Objectives",
                "What is promised, and which review asked for it.",
                f"| Objective | Target | Source |\n|---|---|---|\n{rows}\n",
                rows=7,
            )
        ],
    )


def _sources(objective: Objective) -> str:
    return ", ".join(source.value for source in objective.sources)
