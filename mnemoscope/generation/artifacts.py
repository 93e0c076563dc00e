"""The files that `generate` writes and `check` compares: all rendered first, then replaced one by one.

A manifest in the output folder lists the files that were written. A listed file that is no longer generated is removed;
a file that is not listed is never touched.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mnemoscope import alerts, dashboards, runbooks
from mnemoscope.alerts import kubernetes
from mnemoscope.errors import MnemoscopeError
from mnemoscope.generation import check_reference, reference
from mnemoscope.linting.finding import Finding
from mnemoscope.model.settings import Settings

MANIFEST = ".manifest"


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Rendered files.

    Attributes:
        output: folder of the generated files.
        files: text by path relative to `output`.
        pages: text by path of the runbook pages that are new or whose facts changed.
    """

    output: Path
    files: Mapping[str, str]
    pages: Mapping[Path, str]


def render(settings: Settings, root: Path) -> Artifacts:
    """Return all files for these settings; relative folders in the settings start at `root`.

    Raises:
        MnemoscopeError: rules or boards cannot be built from the settings.
    """
    pack = alerts.build(settings)
    boards = dashboards.build(settings)
    files: dict[str, str] = {}
    for name, text in alerts.render_rules(pack, settings).items():
        files[f"rules/{name}"] = text
    for name, text in alerts.render_tests(settings, pack).items():
        files[f"rule-tests/{name}"] = text
    for board in boards:
        files[f"dashboards/{board.uid}.json"] = dashboards.render(board)
    files |= dashboards.provisioning_files(settings, boards)
    files["kubernetes/prometheusrule.yaml"] = kubernetes.prometheus_rule(pack, settings)
    files["metrics.md"] = reference.render(settings)
    files["checks.md"] = check_reference.render()
    return Artifacts(root / settings.output, files, runbooks.sync(root / settings.runbooks, pack, settings))


def write(artifacts: Artifacts) -> list[Path]:
    """Write the files that differ, remove those no longer generated, and return the changed paths.

    Each file is replaced as a whole, so a reader never sees half a file, even after an interruption.

    Raises:
        MnemoscopeError: a folder or file cannot be written.
    """
    changed: list[Path] = []
    try:
        for path, text in _targets(artifacts).items():
            if _read(path) != text:
                _replace(path, text)
                changed.append(path)
        for path in _orphans(artifacts):
            path.unlink(missing_ok=True)
            changed.append(path)
        manifest = _manifest_text(artifacts)
        if _read(artifacts.output / MANIFEST) != manifest:
            _replace(artifacts.output / MANIFEST, manifest)
    except OSError as error:
        where = error.filename or artifacts.output
        raise MnemoscopeError(f"{where}: cannot be written: {error.strerror or error}") from None
    return changed


def stale(artifacts: Artifacts) -> list[Finding]:
    """Return a finding for each file on disk that differs from its generated text."""
    problems = []
    for path, text in _targets(artifacts).items():
        found = _read(path)
        if found != text:
            message = "missing" if found is None else "does not match the settings and the code"
            problems.append(Finding(shown(path), "stale", f"{message}; run `mnemoscope generate`"))
    for path in _orphans(artifacts):
        problems.append(Finding(shown(path), "stale", "is no longer generated; run `mnemoscope generate`"))
    return problems


def _targets(artifacts: Artifacts) -> dict[Path, str]:
    return {artifacts.output / name: text for name, text in artifacts.files.items()} | dict(artifacts.pages)


def _orphans(artifacts: Artifacts) -> list[Path]:
    listed = (_read(artifacts.output / MANIFEST) or "").splitlines()
    gone = [artifacts.output / name for name in listed if name and name not in artifacts.files]
    # The manifest may have been edited: a path outside the folder is never removed.
    inside = artifacts.output.resolve()
    return [path for path in gone if path.is_file() and path.resolve().is_relative_to(inside)]


def _manifest_text(artifacts: Artifacts) -> str:
    return "".join(f"{name}\n" for name in sorted(artifacts.files))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        return ""  # the project writes UTF-8 only, so the file differs


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def shown(path: Path) -> str:
    """Return `path` relative to the current folder if it lies below it."""
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.as_posix()
