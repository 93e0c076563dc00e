"""A copy of the package that a test can change and run in another process."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def copied_package(tmp_path: Path) -> Path:
    """Copy the package's folders as an installation arranges them, and return the folder to put on PYTHONPATH."""
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    root = tmp_path / "copy"
    for package, folder in settings["tool"]["setuptools"]["package-dir"].items():
        target = root / package.replace(".", "/")
        shutil.copytree(CHECKOUT / folder, target, ignore=shutil.ignore_patterns("__pycache__"))
    return root
