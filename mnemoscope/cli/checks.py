"""The steps of `mnemoscope check`: lints, freshness of the generated files, and the real promtool."""

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
class Step:
    """One named step of `mnemoscope check`; `run` returns its findings."""

    name: str
    run: Callable[[], list[Finding]]


def steps(settings: Settings, root: Path) -> Iterator[Step]:
    """Yield the steps; a later step can fail because of what an earlier one finds, so fix findings in this order.

    Raises:
        MnemoscopeError: rules or boards cannot be built from the settings, or promtool is not available.
    """
    pack = alerts.build(settings)
    boards = dashboards.build(settings)
    output = root / settings.output
    yield Step("rules", lambda: rule_lints.lint(pack, settings))
    yield Step("rule tests", lambda: rule_tests.uncovered(pack, rule_tests.scenarios(settings, pack)))
    yield Step("boards", lambda: board_lints.lint(boards, pack, settings))
    pages = Path(artifacts.shown(root / settings.runbooks))
    yield Step("runbooks", lambda: page_lints.lint(pages, pack, settings))
    yield Step("generated files", lambda: artifacts.stale(artifacts.render(settings, root)))
    # Test files name the rule files beside their folder, so a container needs the folder above both.
    command = partial(tools.find("promtool").command, folders=[output.absolute()])
    rules = sorted((output / "rules").glob("*.yaml"))
    tests = sorted((output / "rule-tests").glob("*.yaml"))
    yield Step("promtool check rules", lambda: _promtool(promtool.check_rules, command, rules, output / "rules"))
    yield Step("promtool test rules", lambda: _promtool(promtool.test_rules, command, tests, output / "rule-tests"))


def _promtool(
    run: Callable[..., object], command: Callable[..., list[str]], files: list[Path], folder: Path
) -> list[Finding]:
    if not files:
        return [Finding(artifacts.shown(folder), "missing", "the folder has no file; run `mnemoscope generate`")]
    try:
        run(command, files)
    except MnemoscopeError as error:
        return [Finding(artifacts.shown(folder), run.__name__.replace("_", "-"), str(error))]
    return []
