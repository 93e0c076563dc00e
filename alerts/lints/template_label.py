"""Every label that an annotation shows is kept by the expression."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mnemoscope.instrumentation import catalog as c
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from .. import render
from . import _carried_labels
from ._subject import Subject, title

NAME = "template-label"

_LABEL_IN_TEMPLATE = re.compile(r"\$labels\.(\w+)")


def _run(subject: Subject) -> Iterator[Finding]:
    for alert in subject.pack.alerts():
        kept = _carried_labels.kept(alert.expr, subject.series)
        for name, template in render.annotations(alert, subject.settings).items():
            for label in dict.fromkeys(_LABEL_IN_TEMPLATE.findall(template)):
                if kept is not None and label not in kept:
                    message = f"{name} shows the label {label!r}, which the expression does not keep"
                    yield Finding(title(alert), NAME, message)


def _failing(subject: Subject) -> Subject:
    waiters = subject.settings.queries.series(c.LOCK_WAITERS)
    return subject.with_alert(f"sum by (job) ({waiters}) > 3", description="The lock {{ $labels.lock }} waits.")


CHECK = Check(
    name=NAME,
    reason="A label that the expression aggregates away is empty in the annotation, and in the link to the panel.",
    run=_run,
    failing=_failing,
)
