"""The time that an import adds to the start of an interpreter, and the modules that it loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from ..percall import Sampler

MILLISECONDS = 1e3
_LIST_MODULES = (
    "import json, sys; before = set(sys.modules); import mnemoscope; print(json.dumps([*set(sys.modules) - before]))"
)


def ours() -> Sampler:
    return _over_bare("import mnemoscope")


def ours_cpu_time() -> Sampler:
    """Measure the CPU time of the import, which other processes do not lengthen."""
    return _over_bare("import mnemoscope", cpu_time=True)


def prometheus() -> Sampler:
    return _over_bare("import prometheus_client")


def prometheus_cpu_time() -> Sampler:
    return _over_bare("import prometheus_client", cpu_time=True)


def opentelemetry() -> Sampler:
    return _over_bare("import opentelemetry.sdk.metrics")


def foreign_modules() -> Sampler:
    """Count the loaded top-level modules of other projects than ours and the standard library."""

    def sample() -> float:
        done = subprocess.run([*_python(_LIST_MODULES)], capture_output=True, text=True, check=True, cwd="/")
        tops = {name.split(".")[0] for name in json.loads(done.stdout)}
        return float(len({top for top in tops if top not in sys.stdlib_module_names} - {"mnemoscope"}))

    return sample


def _over_bare(statement: str, *, cpu_time: bool = False) -> Sampler:
    def sample() -> float:
        # The best of three starts, taken in turn: other processes can only lengthen a start.
        starts = [[_seconds(code, cpu_time) for code in ("pass", statement)] for _ in range(3)]
        bare, imported = (min(seconds) for seconds in zip(*starts, strict=True))
        return (imported - bare) * MILLISECONDS

    return sample


def _seconds(code: str, cpu_time: bool) -> float:
    started = time.perf_counter()
    child = os.posix_spawn(sys.executable, _python(code), os.environ)
    _, status, used = os.wait4(child, 0)
    elapsed = time.perf_counter() - started
    if status:
        raise RuntimeError(f"python -c {code!r} failed")
    return float(used.ru_utime + used.ru_stime) if cpu_time else elapsed


def _python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]
