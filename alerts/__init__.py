"""Recording rules, alert rules and their tests, for one set of settings.

>>> from mnemoscope.alerts import build
>>> from mnemoscope.model.settings import Settings
>>> "LockWaitHigh" in build(Settings()).alert_names()
True
"""

from __future__ import annotations

from .model import Alert, Group, Pack, Record
from .pack import alert_names, alerts_of_panel, build
from .render import rule_files as render_rules
from .rule_tests import render_tests

__all__ = [
    "Alert",
    "Group",
    "Pack",
    "Record",
    "alert_names",
    "alerts_of_panel",
    "build",
    "render_rules",
    "render_tests",
]
