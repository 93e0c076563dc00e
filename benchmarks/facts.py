"""Facts about the machine for the report, without its name and its folders."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LIBRARIES = (
    "mnemoscope",
    "prometheus_client",
    "prometheus-async",
    "opentelemetry-sdk",
    "aioprometheus",
    "autometrics",
    "uvicorn",
)
_VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def machine(interpreters: Mapping[str, Path]) -> dict[str, Any]:
    """Return CPUs, Python, the load when the run began, and the libraries' versions by environment."""
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu_model(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load": [round(load, 1) for load in os.getloadavg()],
        "versions": {name: _versions(interpreter) for name, interpreter in interpreters.items()},
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _versions(interpreter: Path) -> dict[str, str]:
    try:
        done = subprocess.run(
            [interpreter, "-I", "-c", _VERSIONS, *LIBRARIES], capture_output=True, check=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return {}
    found: dict[str, str] = json.loads(done.stdout)
    return found
