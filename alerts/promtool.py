"""Check rules and run rule tests with the real promtool."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mnemoscope.errors import MnemoscopeError

Promtool = Path | Sequence[str] | Callable[..., list[str]]
"""The program, the first words of its command line, or a function that returns a command line for its arguments."""

TIMEOUT = 600.0
"""Seconds after which promtool counts as hanging."""


def check_rules(promtool: Promtool, files: Iterable[Path]) -> str:
    """Run `promtool check rules` and return its output.

    Raises:
        MnemoscopeError: promtool refuses a file, or cannot be run; the message names the file and the reason.
    """
    return _run(promtool, "check", files)


def test_rules(promtool: Promtool, files: Iterable[Path]) -> str:
    """Run `promtool test rules` and return its output. Rule files are found relative to each test file.

    Raises:
        MnemoscopeError: a test fails, or promtool cannot be run; the message names the file and the reason.
    """
    # Each file in its own process: promtool tests files one after the other, and burn rates take long.
    paths = list(files)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return "".join(pool.map(lambda path: _run(promtool, "test", [path]), paths)) or _run(promtool, "test", paths)


def _run(promtool: Promtool, verb: str, files: Iterable[Path]) -> str:
    paths = [str(path) for path in files]
    if not paths:
        raise MnemoscopeError(f"promtool {verb} rules: no files were given")
    command = _command(promtool, verb, "rules", *paths)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except OSError as error:
        raise MnemoscopeError(f"{command[0]}: cannot be run: {error.strerror}; install Prometheus' promtool") from None
    except subprocess.TimeoutExpired:
        raise MnemoscopeError(f"promtool {verb} rules: no answer within {TIMEOUT:.0f} s", exit_code=1) from None
    output = done.stdout + done.stderr
    if done.returncode:
        raise MnemoscopeError(_reason(verb, output, paths), exit_code=1)
    return output


def _command(promtool: Promtool, *words: str) -> list[str]:
    if callable(promtool):
        return promtool(*words)
    return [str(promtool), *words] if isinstance(promtool, Path) else [*promtool, *words]


_FILE = re.compile(r"^(?:Checking|Unit Testing: ) (.+)$")


def _reason(verb: str, output: str, paths: Sequence[str]) -> str:
    """Return the first file that failed and the reason, from promtool's report."""
    file, lines, failed = "", output.splitlines(), False
    reasons: list[str] = []
    for line in lines:
        found = _FILE.match(line.strip())
        if found:
            if failed:
                break
            file = found[1].strip()
        elif line.strip().startswith("FAILED"):
            failed = True
            reasons.append(line.strip().removeprefix("FAILED").lstrip(": "))
        elif failed and line.strip():
            reasons.append(line.strip())
    if not failed:
        reasons = [line.strip() for line in lines if line.strip()]
    where = file or (paths[0] if len(paths) == 1 else "")
    # Without a report, as when a container engine fails, the whole output is the reason.
    reason = " ".join(part for part in reasons if part)[:800] or "it failed without any output"
    return f"promtool {verb} rules: {f'{where}: ' if where else ''}{reason}"
