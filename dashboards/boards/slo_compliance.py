"""Objectives: whether the service meets them, how much of each error budget is left, and how fast it burns.

All panels read the records that the burn-rate alerts read. The lines are the factors of these alerts.
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
from ..expressions import Expressions
from ..panels.constructors import bargauge, gauge, stat, table, text, timeseries
from ..panels.layer import Panel
from ..panels.query import Query
from ..panels.style import BLUE, GREEN, ORANGE, PALETTE, PER_SECOND, RED, YELLOW, Line, ThresholdStep, zones

UID = "slo-compliance"

# Yellow while less than a quarter of the budget is left, red when it is spent.
_BUDGET_LOW = 0.25

# The panel of the board dual-memory that shows the signal behind an objective.
_SIGNALS: dict[Metric, str] = {
    c.RECALL_DURATION: "recall-latency",
    c.INDEX_WRITE_DURATION: "index-write",
    c.STORAGE_OPERATION_DURATION: "storage-error-ratio",
    c.REQUEST_DURATION: "request-errors",
}


def build(settings: Settings) -> Board:
    """Return the board for one site."""
    expressions = Expressions(settings)
    objectives = settings.all_objectives()
    return assemble(
        settings,
        UID,
        "Compliance, error budget and burn rate of every objective, and the targets that are up.",
        [
            _now(expressions),
            Section("Compliance over the period", [_compliance(expressions, objective) for objective in objectives]),
            Section("Error budget left", [_budget(expressions, objective) for objective in objectives]),
            *(_burning(expressions, objective) for objective in objectives),
            _text(settings),
        ],
    )


def _now(expressions: Expressions) -> Section:
    settings = expressions.settings
    return Section(
        "Now",
        [
            stat(
                "alerts-firing",
                "Alerts firing",
                "Number of alerts that fire. The table lists them.",
                Unit.COUNT,
                Query(f"count({_alerts(expressions)}) or vector(0)", "firing"),
                steps=(ThresholdStep(GREEN), ThresholdStep(RED, 1)),
                decimals=0,
                trend=False,
                width=3,
            ),
            stat(
                "deadlocks",
                "Deadlocks",
                "Deadlocks in the time range. The objective is 0.",
                Unit.COUNT,
                Query(expressions.total(c.LOCK_DEADLOCKS), "deadlocks"),
                steps=zones(settings.threshold("lock_deadlocks")),
                decimals=0,
                trend=False,
                width=3,
            ),
            timeseries(
                "targets-up",
                "Targets up",
                "Instances that Prometheus can scrape, and all instances that it knows. If the lines differ, an "
                "instance is down. If there is no line, the service is down or is not scraped.",
                Unit.COUNT,
                Query(f"sum({_up(expressions)})", "up", color=GREEN),
                Query(f"count({_up(expressions)})", "known", color=BLUE, line="dash"),
                width=9,
            ),
            table(
                "alerts-table",
                "Firing alerts",
                "The alerts that fire, with their labels. If none fires, the table has one row, `none`.",
                Unit.COUNT,
                Query(_alert_rows(expressions), ""),
                columns={"alertname": "Alert", "severity": "Severity", "job": "Job", "Value": "Series"},
                width=9,
            ),
        ],
    )


def _up(expressions: Expressions) -> str:
    # The job is fixed besides the variable: with All selected, the targets of other services would be counted.
    return expressions.live.up(Matcher("job", "=", expressions.settings.job))


def _alerts(expressions: Expressions) -> str:
    return expressions.record("ALERTS", Matcher("alertstate", "=", "firing"))


def _alert_rows(expressions: Expressions) -> str:
    firing = promql.by(("alertname", "severity", "job"), _alerts(expressions))
    return f'{firing} or (label_replace(vector(0), "alertname", "none", "", "") unless on () {firing})'


def _bad_share(expressions: Expressions, objective: Objective, window: str) -> str:
    """Return the share of bad events by job, or 0 for a job without events."""
    bad = expressions.record(record_names.slo_ratio(expressions.settings, objective, window))
    return f"({bad} or 0 * {expressions.record(record_names.slo_total(expressions.settings, objective))})"


def _compliance(expressions: Expressions, objective: Objective) -> Panel:
    target, budget = objective.target, objective.budget
    # Green while at least half of the budget is left. Below the target it is spent.
    steps = (ThresholdStep(RED), ThresholdStep(YELLOW, float(target)), ThresholdStep(GREEN, float(target + budget / 2)))
    return gauge(
        f"compliance-{objective.key}",
        objective.title,
        f"Share of good events over {objective.period}. Objective: {objective.description}. Yellow: half of the error "
        "budget is spent. Red: the objective is missed.",
        Unit.RATIO,
        Query(f"1 - {_bad_share(expressions, objective, objective.period)}", "{{job}}"),
        steps=steps,
        minimum=float(1 - 4 * budget),
        decimals=3,
    )


def _budget(expressions: Expressions, objective: Objective) -> Panel:
    spent = f"{_bad_share(expressions, objective, objective.period)} / {number(objective.budget)}"
    return bargauge(
        f"budget-{objective.key}",
        objective.title,
        f"Share of the error budget of {objective.period} that is left. At 0 it is spent, below 0 it is overspent.",
        Unit.RATIO,
        Query(f"1 - {spent}", "{{job}}"),
        steps=(ThresholdStep(RED), ThresholdStep(YELLOW, 1e-9), ThresholdStep(GREEN, _BUDGET_LOW)),
        minimum=-1,
        maximum=1,
        width=6,
    )


def _burning(expressions: Expressions, objective: Objective) -> Section:
    settings = expressions.settings
    ok, bad = record_names.slo_total(settings, objective), record_names.slo_errors(settings, objective)
    return Section(
        f"Budget of {objective.title.lower()}",
        [
            timeseries(
                f"events-{objective.key}",
                f"{objective.title}: events",
                "All events and bad events per second. With few events, the burn rate jumps.",
                PER_SECOND,
                Query(expressions.record(bad), "bad {{job}}", color=RED, line="dash"),
                Query(expressions.record(ok), "all {{job}}", color=BLUE),
                width=8,
            ),
            timeseries(
                f"burn-rate-{objective.key}",
                f"{objective.title}: burn rate",
                "How many times faster than allowed the budget is spent. At 1, it is spent exactly at the end of the "
                "period. An alert fires when a solid line and the dashed line of the same colour are both above the "
                "line of its factor.",
                "none",
                *_burn_rates(expressions, objective),
                steps=_factors(objective),
                width=16,
                data_links=[_signal(expressions, objective)],
            ),
        ],
    )


# Line styles of the long and the short window of a pair.
_LONG: Line = "solid"
_SHORT: Line = "dash"


def _burn_rates(expressions: Expressions, objective: Objective) -> list[Query]:
    budget = number(objective.budget)
    return [
        Query(
            f"{_bad_share(expressions, objective, window)} / {budget}", f"{window} {{{{job}}}}", color=color, line=line
        )
        for pair, color in zip(burn_rate.WINDOWS, PALETTE, strict=False)
        for window, line in ((pair.long, _LONG), (pair.short, _SHORT))
    ]


def _factors(objective: Objective) -> tuple[ThresholdStep, ...]:
    """Return the factors of the alerts, each once. Those of critical alerts are red."""
    factors: dict[Decimal, str] = {}
    for window in burn_rate.WINDOWS:
        factors[window.factor(objective)] = RED if window.severity == "critical" else ORANGE
    return (ThresholdStep(GREEN), *(ThresholdStep(factors[value], float(value)) for value in sorted(factors)))


def _signal(expressions: Expressions, objective: Objective) -> dict[str, object]:
    panel = links.panel_id(_SIGNALS[objective.metric])
    variables = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", *expressions.variable_labels().values()))
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
                "The objectives, and the review that each comes from.",
                f"| Objective | Target | Source |\n|---|---|---|\n{rows}\n",
                rows=7,
            )
        ],
    )


def _sources(objective: Objective) -> str:
    return ", ".join(source.value for source in objective.sources)
