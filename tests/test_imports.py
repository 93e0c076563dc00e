"""Imports run one way, and the folders show it.

The rule follows from the folders. Within each folder, the files and subfolders import each other without a circle; a
module whose name starts with an underscore is imported by its own package alone; the service side, `instrumentation/`,
imports nothing of the pack. Imports are read from the syntax tree, so that one inside a function counts as well.
"""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
FOLDERS = ("mnemoscope", "instrumentation", "alerts", "dashboards", "runbooks", "examples")


def modules() -> dict[str, Path]:
    """Return every module of the project by import name; a package's own module is called `package.__init__`."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            parts = path.relative_to(CHECKOUT).with_suffix("").parts
            name = ".".join(parts if folder == "mnemoscope" else ("mnemoscope", *parts))
            found[name] = path
    return found


MODULES = modules()
NAMES = set(MODULES) | {name.removesuffix(".__init__") for name in MODULES}


def imported(name: str, source: str, names: set[str] = NAMES) -> Iterator[tuple[int, str]]:
    """Yield line and name of every module of the project that `source`, the module `name`, imports."""
    package = name.rpartition(".")[0]
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


def imports(sources: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield importing and imported module of every import among `sources`; a package stands for its own module."""
    names = set(sources) | {name.removesuffix(".__init__") for name in sources}
    for name, source in sources.items():
        for _, module in imported(name, source, names):
            yield name, f"{module}.__init__" if f"{module}.__init__" in sources else module


def circles(sources: Mapping[str, str]) -> list[str]:
    """Return the first circle among the files and subfolders of each folder.

    The `__init__` of a folder is its face: it imports what is inside, and stands outside for the folder.
    """
    graphs: dict[str, dict[str, set[str]]] = {}
    for name, module in imports(sources):
        importing, wanted = name.split("."), module.split(".")
        depth = next((i for i, (a, b) in enumerate(zip(importing, wanted, strict=False)) if a != b), None)
        if depth is None or "__init__" in (importing[depth], wanted[depth]):
            continue
        graph = graphs.setdefault(".".join(importing[:depth]), {})
        graph.setdefault(importing[depth], set()).add(wanted[depth])
    found = []
    for folder, graph in sorted(graphs.items()):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            found.append(f"{folder}: {' <- '.join(error.args[1])}")
    return found


def intrusions(sources: Mapping[str, str]) -> list[str]:
    """Return the imports of a package's private modules from outside that package."""
    found = []
    for name, module in imports(sources):
        parts = module.split(".")
        private = next((i for i, part in enumerate(parts) if part.startswith("_") and part != "__init__"), None)
        if private is not None and name.split(".")[:private] != parts[:private]:
            found.append(f"{name} imports {module}")
    return found


def reaching_up(sources: Mapping[str, str]) -> list[str]:
    """Return the imports by which the service side, or the description of metrics, would need the pack."""
    found = []
    for name, module in imports(sources):
        for side in ("mnemoscope.instrumentation.catalog.", "mnemoscope.instrumentation."):
            if f"{name}.".startswith(side) and not f"{module}.".startswith(side):
                found.append(f"{name} imports {module}")
    return list(dict.fromkeys(found))


def all_sources() -> dict[str, str]:
    return {name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}


def test_no_folder_has_a_circle() -> None:
    assert circles(all_sources()) == []


def test_private_modules_are_imported_by_their_own_package_alone() -> None:
    assert intrusions(all_sources()) == []


def test_the_service_side_imports_nothing_of_the_pack() -> None:
    assert reaching_up(all_sources()) == []


def test_a_circle_of_files_is_found() -> None:
    sources = {"mnemoscope.a.x": "from .y import f", "mnemoscope.a.y": "def f():\n    from . import x"}
    assert circles(sources) == ["mnemoscope.a: x <- y <- x"]


def test_a_circle_of_folders_is_found_where_their_files_have_none() -> None:
    sources = {
        "mnemoscope.a.x": "from mnemoscope.b import y",
        "mnemoscope.b.y": "",
        "mnemoscope.b.z": "import mnemoscope.a.w",
        "mnemoscope.a.w": "",
    }
    assert circles(sources) == ["mnemoscope: a <- b <- a"]


def test_a_face_that_imports_what_is_inside_makes_no_circle() -> None:
    sources = {"mnemoscope.a.__init__": "from .x import f", "mnemoscope.a.x": "", "mnemoscope.b": "from .a import f"}
    assert circles(sources) == []


def test_an_import_of_another_package_s_private_module_is_found() -> None:
    sources = {
        "mnemoscope.a._x": "",
        "mnemoscope.a.y": "from ._x import f",
        "mnemoscope.a.inner.z": "from .._x import f",
        "mnemoscope.b": "from .a._x import f",
    }
    assert intrusions(sources) == ["mnemoscope.b imports mnemoscope.a._x"]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("mnemoscope.instrumentation.x", "from mnemoscope import errors"),
        ("mnemoscope.instrumentation.catalog.x", "from ..y import Family"),
    ],
)
def test_a_service_side_that_needs_the_pack_is_found(name: str, source: str) -> None:
    sources = {name: source, "mnemoscope.errors": "", "mnemoscope.instrumentation.y": ""}
    assert len(reaching_up(sources)) == 1


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
