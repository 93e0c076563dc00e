"""The alert reference: one Markdown page with every alert of a site and its limits."""

from __future__ import annotations

from mnemoscope.alerts import Alert, Pack
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.model.links import runbook_url
from mnemoscope.model.settings import Settings
from mnemoscope.model.units import humanize

_INTRODUCTION = """\
# Alert reference

<!-- Written by `mnemoscope generate` from the rules and the settings; do not edit. -->

Every alert of the pack. Each name links to the alert's runbook page, which has the expressions and the steps to take.

| alert | meaning | fires when |
|---|---|---|
"""


def render(pack: Pack, settings: Settings) -> str:
    """Return the page, with the limits of this site; it ends in a line end."""
    return _INTRODUCTION + "".join(_row(pack.rules_of(name), settings) for name in pack.alert_names())


def _row(rules: tuple[Alert, ...], settings: Settings) -> str:
    name = rules[0].name
    conditions = "<br>".join(_condition(rule) for rule in rules)
    return f"| [{name}]({runbook_url(settings.runbook_base_url, name)}) | {rules[0].summary} | {conditions} |\n"


def _condition(rule: Alert) -> str:
    parts = [_limit(rule), "" if rule.for_ == "0m" else f"for {rule.for_}"]
    return f"{rule.severity}: {' '.join(part for part in parts if part) or 'immediately'}"


def _limit(rule: Alert) -> str:
    if rule.limit is None:
        return ""
    if rule.threshold is not None:
        return f"{rule.threshold.title} {rule.threshold.beyond(rule.limit)}"
    windows = " and ".join(window for label, window in sorted(rule.labels.items()) if label.endswith("_window"))
    return f"more than {humanize(rule.limit, Unit.RATIO)} of events bad over {windows}"
