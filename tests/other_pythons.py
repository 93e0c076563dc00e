"""Run the service's side of the suite on every other Python from 3.11 on that this machine has.

Each gets a separate environment below `.venv-py/`. Arguments go to pytest; a path among them takes the place of
the suites below, so that `make test-pythons ARGS=tests` runs everything everywhere. That takes ten minutes a Python,
so by itself the pack's side (rules, boards, runbooks) is left out: it generates text, and the same text everywhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".venv-py"
OLDEST = (3, 11)
SUITES = tuple(
    f"tests/{part}" for part in ("instrumentation", "testing", "exporters", "middleware", "multiprocess", "locks")
)
LEFT_OUT = ("tests/locks/test_other_projects.py", "tests/locks/test_pytest_plugin*.py")
"""Minutes of what depends on the interpreter least: other projects' suites, and pytest in pytest."""
IN_PARALLEL = ("--numprocesses", "auto", "--maxprocesses", "4", "--dist", "worksteal")
ASK = "import sys, sysconfig; print(*sys.version_info[:2], sysconfig.get_config_var('Py_GIL_DISABLED') or 0)"


def candidates() -> list[str]:
    """Interpreters by name on PATH, and those that pyenv keeps."""
    names = [f"python3.{minor}{kind}" for minor in range(OLDEST[1], 20) for kind in ("", "t")]
    found = [path for name in names if (path := shutil.which(name))]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return found + sorted(str(path) for path in pyenv.glob("versions/*/bin/python3"))


def others() -> dict[tuple[int, int, int], str]:
    """One working interpreter for each version and build that is not the one running this."""
    found: dict[tuple[int, int, int], str] = {}
    for path in candidates():
        asked = subprocess.run([path, "-c", ASK], capture_output=True, text=True, check=False)
        if asked.returncode:
            continue  # a shim of pyenv whose version is not chosen
        major, minor, free_threaded = map(int, asked.stdout.split())
        if (major, minor) >= OLDEST and ((major, minor) != sys.version_info[:2] or free_threaded):
            found.setdefault((major, minor, free_threaded), path)
    return found


def run(version: tuple[int, int, int], interpreter: str, arguments: list[str]) -> bool:
    """Make or reuse the environment of one Python and run the suites in it."""
    name = f"{version[0]}.{version[1]}{'t' if version[2] else ''}"
    python = ENVIRONMENTS / name / "bin" / "python"
    print(f"--- Python {name}", flush=True)
    steps: list[list[str]] = []
    if not (ENVIRONMENTS / name / ".complete").exists():
        steps.append([interpreter, "-m", "venv", "--clear", str(ENVIRONMENTS / name)])
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        steps.append([*install, "--constraint", "constraints.txt", "--editable", ".[dev,schema]"])
    for step in steps:
        if subprocess.run(step, cwd=ROOT, check=False).returncode:
            return False
    (ENVIRONMENTS / name / ".complete").touch()
    ours = any((ROOT / argument).exists() for argument in arguments)
    suites = [] if ours else [*SUITES, *(f"--ignore-glob={ROOT / pattern}" for pattern in LEFT_OUT)]
    return (
        subprocess.run(
            [str(python), "-m", "pytest", "-q", *IN_PARALLEL, *suites, *arguments], cwd=ROOT, check=False
        ).returncode
        == 0
    )


def main() -> int:
    found = others()
    if not found:
        print("no other Python from 3.11 on is here")
    failed = [version for version, interpreter in sorted(found.items()) if not run(version, interpreter, sys.argv[1:])]
    for version in failed:
        print(f"Python {version[0]}.{version[1]} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
