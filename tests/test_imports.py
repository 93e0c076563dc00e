"""The import rule of the design: one description, three users of it, and no arrow the other way.

Read from the syntax tree, so that an import inside a function counts as well as one at the top.
"""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
FOLDERS = ("mnemoscope", "instrumentation", "alerts", "dashboards", "runbooks", "examples")

# Each part of the project, and the parts it may import besides itself. The longest matching name wins, so a
# new module at the root of the package is `base` and may import nothing above it.
PARTS = {
    "mnemoscope.instrumentation.catalog": "catalog",
    "mnemoscope.instrumentation": "instrumentation",
    "mnemoscope": "base",
    "mnemoscope.alerts": "alerts",
    "mnemoscope.dashboards": "dashboards",
    "mnemoscope.runbooks": "runbooks",
    "mnemoscope.reference": "commands",
    "mnemoscope.artifacts": "commands",
    "mnemoscope.checks": "commands",
    "mnemoscope.commands": "commands",
    "mnemoscope.cli": "commands",
    "mnemoscope.examples": "examples",
    "mnemoscope.__init__": "api",
    "mnemoscope.catalog": "api",
    "mnemoscope.testing": "api",
}
ARROWS = {
    "catalog": set(),
    "instrumentation": {"catalog"},
    "base": {"catalog"},
    "alerts": {"catalog", "base"},
    "dashboards": {"catalog", "base", "alerts"},
    "runbooks": {"catalog", "base", "alerts", "dashboards"},
    "commands": {"catalog", "base", "alerts", "dashboards", "runbooks", "examples", "api"},
    "api": {"catalog", "instrumentation"},
    "examples": {"api", "catalog", "base", "alerts", "dashboards", "runbooks", "commands"},
}


def modules() -> dict[str, Path]:
    """Every module of the project by import name; a package's own module is called `package.__init__`."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            parts = path.relative_to(CHECKOUT).with_suffix("").parts
            name = ".".join(parts if folder == "mnemoscope" else ("mnemoscope", *parts))
            found[name] = path
    return found


MODULES = modules()
NAMES = set(MODULES) | {name.removesuffix(".__init__") for name in MODULES}


def part_of(module: str) -> str:
    """The part that a module belongs to; `mnemoscope` itself, when imported from, is the public API."""
    if module in ("mnemoscope", "mnemoscope.__init__"):
        return "api"
    while module not in PARTS:
        module = module.rpartition(".")[0]
    return PARTS[module]


def imported(name: str, source: str, names: set[str] = NAMES) -> Iterator[tuple[int, str]]:
    """Line and name of every module of the project that `source`, the module `name`, imports."""
    package = name.removesuffix(".__init__") if name.endswith(".__init__") else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{above}.{base}".rstrip(".")
            submodules = [f"{base}.{alias.name}" for alias in node.names]
            wanted = [m for m in submodules if m in names]
            if len(wanted) < len(submodules):
                wanted.append(base)
        else:
            continue
        for module in wanted:
            if module == "mnemoscope" or module.startswith("mnemoscope."):
                yield node.lineno, module


def violations(name: str, source: str) -> list[str]:
    own = part_of(name)
    return [
        f"{name}:{line}: {own} must not import {module} ({part_of(module)})"
        for line, module in imported(name, source)
        if part_of(module) != own and part_of(module) not in ARROWS[own]
    ]


def test_every_module_keeps_the_import_rule() -> None:
    found = [text for name, path in MODULES.items() for text in violations(name, path.read_text(encoding="utf-8"))]

    assert found == []


def test_the_arrows_make_no_circle_but_that_of_the_command_that_starts_the_demo() -> None:
    def reaches(start: str, goal: str, seen: frozenset[str] = frozenset()) -> bool:
        return any(nxt == goal or (nxt not in seen and reaches(nxt, goal, seen | {nxt})) for nxt in ARROWS[start])

    assert {part for part in ARROWS if reaches(part, part)} == {"commands", "examples"}


@pytest.mark.parametrize(
    ("name", "source", "complaint"),
    [
        (
            "mnemoscope.alerts.x",
            "from mnemoscope.dashboards import build",
            "alerts must not import mnemoscope.dashboards",
        ),
        ("mnemoscope.alerts.x", "from ..dashboards.layer import row", "alerts must not import mnemoscope.dashboards"),
        (
            "mnemoscope.alerts.x",
            "def f():\n    import mnemoscope.runbooks",
            "alerts must not import mnemoscope.runbooks",
        ),
        ("mnemoscope.instrumentation.x", "from mnemoscope import settings", "must not import mnemoscope.settings"),
        ("mnemoscope.instrumentation.catalog.x", "from ..snapshot import Family", "must not import mnemoscope.inst"),
        ("mnemoscope.objectives", "from mnemoscope.alerts import names", "base must not import mnemoscope.alerts"),
        ("mnemoscope.__init__", "from .cli import main", "api must not import mnemoscope.cli"),
        ("mnemoscope.dashboards.x", "import mnemoscope", "dashboards must not import mnemoscope"),
        ("mnemoscope.examples.x", "from mnemoscope.instrumentation import locks", "must not import mnemoscope.instru"),
    ],
)
def test_an_arrow_the_other_way_is_found(name: str, source: str, complaint: str) -> None:
    assert name.rpartition(".")[0] in NAMES, "the example must lie in a package that exists"

    (found,) = violations(name, source)

    assert complaint in found


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("mnemoscope.dashboards.x", "from mnemoscope.alerts import names"),
        ("mnemoscope.dashboards.x", "from .boards import x"),
        ("mnemoscope.alerts.x", "from mnemoscope.instrumentation.catalog import Metric"),
        ("mnemoscope.alerts.x", "from mnemoscope.instrumentation import catalog"),
        ("mnemoscope.examples.x", "import mnemoscope as scope"),
        ("mnemoscope.examples.x", "from mnemoscope import catalog"),
    ],
)
def test_an_arrow_of_the_design_is_allowed(name: str, source: str) -> None:
    assert violations(name, source) == []


@pytest.mark.parametrize("name", sorted(NAMES - {name for name in NAMES if name.endswith(("__init__", "__main__"))}))
def test_every_module_can_be_imported(name: str) -> None:
    assert importlib.import_module(name).__doc__, "a module says why it exists"


def test_importing_the_package_imports_the_standard_library_alone() -> None:
    script = (
        "import json, sys; before = set(sys.modules); import mnemoscope; "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/")

    tops = {name.split(".")[0] for name in json.loads(done.stdout)}

    assert "mnemoscope" in tops
    assert {top for top in tops if top not in sys.stdlib_module_names} == {"mnemoscope"}


def test_the_wheel_lists_every_package_of_the_project() -> None:
    tomllib = importlib.import_module("tomllib")
    listed = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]

    packages = {name.removesuffix(".__init__") for name in MODULES if name.endswith(".__init__")}
    assert set(listed) == packages
