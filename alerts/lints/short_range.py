"""Every range spans enough scrapes."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope import promql
from mnemoscope.instrumentation import catalog as c
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding
from mnemoscope.model import units

from ._subject import Subject, title

NAME = "short-range"

SAMPLES_IN_RANGE = 4
"""Scrapes that a range must span, so that a missed scrape leaves enough for a rate."""


def _run(subject: Subject) -> Iterator[Finding]:
    least = SAMPLES_IN_RANGE * units.seconds(subject.settings.scrape_interval)
    for rule in subject.rules:
        for selector in promql.selectors(rule.expr):
            if selector.range_seconds is not None and selector.range_seconds < least:
                has = f"the range of {selector.name} is {selector.range_seconds:g} s"
                yield Finding(title(rule), NAME, f"{has}; it must span {SAMPLES_IN_RANGE} scrapes ({least:g} s)")


def _failing(subject: Subject) -> Subject:
    settings = subject.settings
    return subject.with_record(settings.queries.rate(c.CACHE_LOOKUPS, settings.scrape_interval))


CHECK = Check(
    name=NAME,
    reason="A rate over too few scrapes is absent as soon as one scrape fails.",
    run=_run,
    failing=_failing,
)
