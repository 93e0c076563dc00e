"""Everything `mnemoscope check` holds the pack against: staleness, lints, and the real promtool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mnemoscope import alerts, dashboards, tools
from mnemoscope.alerts import lints as rule_lints
from mnemoscope.alerts import promtool, rule_tests
from mnemoscope.dashboards import lints as board_lints
from mnemoscope.errors import MnemoscopeError
from mnemoscope.generation import artifacts
from mnemoscope.linting.finding import Finding
from mnemoscope.model.settings import Settings
from mnemoscope.runbooks import lints as page_lints


@dataclass(frozen=True, slots=True)
class Check:
    """One named step; `run` gives what is wrong."""

    name: str
    run: Callable[[], list[Finding]]


def checks(settings: Settings, root: Path) -> Iterator[Check]:
    """The steps, in the order in which a failure is best understood.

    Raises:
        MnemoscopeError: the settings cannot be built from, or promtool cannot be had.
    """
    pack = alerts.build(settings)
    boards = dashboards.build(settings)
    output = root / settings.output
    yield Check("rules", lambda: rule_lints.lint(pack, settings))
    yield Check("rule tests", lambda: rule_tests.uncovered(pack, rule_tests.scenarios(settings, pack)))
    yield Check("boards", lambda: board_lints.lint(boards, pack, settings))
    yield Check("runbooks", lambda: page_lints.lint(root / settings.runbooks, pack, settings))
    yield Check("generated files", lambda: artifacts.stale(artifacts.render(settings, root)))
    # Test files name the rule files beside their folder, so a container has to see the folder above both.
    command = partial(tools.find("promtool").command, folders=[output.absolute()])
    rules = sorted((output / "rules").glob("*.yaml"))
    tests = sorted((output / "rule-tests").glob("*.yaml"))
    yield Check("promtool check rules", lambda: _run(promtool.check_rules, command, rules, output / "rules"))
    yield Check("promtool test rules", lambda: _run(promtool.test_rules, command, tests, output / "rule-tests"))


def _run(
    step: Callable[..., object], command: Callable[..., list[str]], files: list[Path], folder: Path
) -> list[Finding]:
    if not files:
        return [Finding(folder.as_posix(), "missing", "no file there; run `mnemoscope generate`")]
    try:
        step(command, files)
    except MnemoscopeError as error:
        return [Finding(folder.as_posix(), step.__name__.replace("_", " "), str(error))]
    return []
