"""The search for programs that the project needs and does not ship: promtool, Prometheus, Alertmanager.

These places are searched in this order, and the first one with a working program wins: the path in the environment
variable, `PATH`, the project's `.tools/` folder, a running Docker engine (promtool only), and the distribution's
package, unpacked into `.tools/` without root and without starting a service.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mnemoscope.errors import MnemoscopeError

DOCKER_IMAGE = "prom/prometheus:v2.53.5"
TOOLS_DIR_VARIABLE = "MNEMOSCOPE_TOOLS_DIR"

_VERSION = re.compile(r"\bversion[ :]+v?(\d[^\s,)]*)", re.IGNORECASE)
_RUN_SECONDS = 30.0
_FETCH_SECONDS = 600.0

# Paths below the tools folder: a program copied by hand, an unpacked release, an unpacked package.
_LAYOUTS = ("{0}", "bin/{0}", "usr/bin/{0}", "*/{0}", "*/usr/bin/{0}")


@dataclass(frozen=True, slots=True)
class Spec:
    """A tool to search for.

    Attributes:
        name: the project's name for the tool.
        variable: environment variable with the path of the program.
        binaries: file names of the program, the usual one first.
        package: the distribution's package that contains it.
        in_container: whether it can run in a container. Only promtool can; a server would have to share its ports
            and files.
    """

    name: str
    variable: str
    binaries: tuple[str, ...]
    package: str
    in_container: bool = False


SPECS: Mapping[str, Spec] = {
    spec.name: spec
    for spec in (
        Spec("promtool", "MNEMOSCOPE_PROMTOOL", ("promtool",), "prometheus", in_container=True),
        Spec("prometheus", "MNEMOSCOPE_PROMETHEUS", ("prometheus",), "prometheus"),
        Spec(
            "alertmanager",
            "MNEMOSCOPE_ALERTMANAGER",
            ("alertmanager", "prometheus-alertmanager"),
            "prometheus-alertmanager",
        ),
    )
}
"""Every tool that the project uses, by name."""

NAMES = ("promtool", "prometheus")
"""The tools that the project requires."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that was found and answered to `--version`.

    Attributes:
        name: its name in SPECS.
        prefix: the first words of its command line.
        version: as `--version` prints it, such as `2.42.0+ds`.
        origin: where it was found, for messages.
        mounts: folders that its container mounts; empty when it runs on this machine.
    """

    name: str
    prefix: tuple[str, ...]
    version: str
    origin: str
    mounts: tuple[Path, ...] = ()

    @property
    def path(self) -> Path | None:
        """The program's file; None when it runs in a container."""
        return None if self.mounts else Path(self.prefix[0])

    def command(self, *args: str | Path, folders: Iterable[Path] = ()) -> list[str]:
        """Return the whole command line; a container also mounts `folders` and the folders of paths among `args`."""
        words = [str(arg) for arg in args]
        if not self.mounts:
            return [*self.prefix, *words]
        outside = {
            path if path.is_dir() else path.parent
            for path in (*map(Path, words), *folders)
            if path.is_absolute() and path.exists() and not any(path.is_relative_to(m) for m in self.mounts)
        }
        run, rest = self.prefix[:2], self.prefix[2:]
        return [*run, *_volumes(sorted(outside)), *rest, *words]


def tools_dir() -> Path:
    """Return the folder of this project's own tools: MNEMOSCOPE_TOOLS_DIR, or `.tools` in the current folder."""
    return Path(os.environ.get(TOOLS_DIR_VARIABLE) or ".tools").absolute()


def find(name: str) -> Tool:
    """Return the tool called `name`, from the first place with a working program.

    Raises:
        KeyError: `name` is not in SPECS.
        MnemoscopeError: no place has it, or the path in the environment variable does not work; the message names
            the package to install and the variable to set.
    """
    spec = SPECS[name]
    reasons: list[str] = []
    for source in (_from_environment, _from_path, _from_tools_dir, _from_docker, _from_package):
        try:
            tool = source(spec)
        except _Unusable as reason:
            reasons.append(str(reason))
        else:
            if tool is not None:
                return tool
    tried = f" (tried: {'; '.join(reasons)})" if reasons else ""
    raise MnemoscopeError(
        f"{spec.name} was not found: install the package {spec.package}, put the program into {tools_dir()}, "
        f"or set {spec.variable} to its path{tried}"
    )


class _Unusable(Exception):
    """The program in one place does not work; the message is the reason."""


def _from_environment(spec: Spec) -> Tool | None:
    given = os.environ.get(spec.variable)
    if not given:
        return None
    found = shutil.which(given)
    if found is None:
        raise MnemoscopeError(f"{spec.variable}: {given} is not a program that can be run; correct or unset it")
    try:
        return _on_this_machine(spec, Path(found), spec.variable)
    except _Unusable as reason:
        raise MnemoscopeError(f"{spec.variable}: {reason}; correct or unset it") from None


def _from_path(spec: Spec) -> Tool | None:
    return _first_working(spec, (found for b in spec.binaries if (found := shutil.which(b))), "PATH")


def _from_tools_dir(spec: Spec) -> Tool | None:
    folder = tools_dir()
    return _first_working(spec, _below(folder, spec), str(folder))


def _below(folder: Path, spec: Spec) -> Iterator[str]:
    for binary in spec.binaries:
        for layout in _LAYOUTS:
            for path in sorted(folder.glob(layout.format(binary))):
                if path.is_file() and os.access(path, os.X_OK):
                    yield str(path)


def _from_docker(spec: Spec) -> Tool | None:
    docker = shutil.which("docker") if spec.in_container else None
    if docker is None:
        return None
    _run([docker, "info"], "Docker does not answer")
    here, scratch = Path.cwd(), Path(tempfile.gettempdir()).resolve()
    prefix = (
        docker,
        "run",
        "--rm",
        "--network=host",
        f"--user={os.getuid()}:{os.getgid()}",
        *_volumes([here, scratch]),
        f"--workdir={here}",
        f"--entrypoint={spec.binaries[0]}",
        DOCKER_IMAGE,
    )
    version = _version(prefix, timeout=_FETCH_SECONDS)  # the first run fetches the image
    return Tool(spec.name, prefix, version, f"Docker, {DOCKER_IMAGE}", (here, scratch))


def _volumes(folders: list[Path]) -> list[str]:
    return [f"--volume={folder}:{folder}" for folder in folders]


def _from_package(spec: Spec) -> Tool | None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return None
    folder = tools_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unpack-") as scratch:
            unpacked = _unpack(spec.package, Path(scratch))
            target = folder / spec.package
            if target.exists() and not _works(spec, target):
                target.rename(Path(scratch) / "broken")
            if not target.exists():  # otherwise a concurrent run has unpacked it already
                unpacked.rename(target)
    except OSError as error:
        raise _Unusable(f"{folder} cannot be written: {error.strerror}") from None
    return _first_working(spec, _below(folder, spec), f"package {spec.package} in {folder}")


def _works(spec: Spec, folder: Path) -> bool:
    try:
        return _first_working(spec, _below(folder, spec), "") is not None
    except _Unusable:
        return False


def _unpack(package: str, scratch: Path) -> Path:
    """Fetch the package's archive and unpack it, without installing it or running its scripts."""
    fetch = ["apt-get", "-q", "download", package]
    try:
        _run(fetch, "apt-get download", cwd=scratch, timeout=_FETCH_SECONDS)
    except _Unusable:
        # The package lists are missing or old. Private lists need no root and leave the system's lists unchanged.
        options = _private_lists(scratch / "apt")
        _run(["apt-get", *options, "-q", "update"], "apt-get update", cwd=scratch, timeout=_FETCH_SECONDS)
        _run(["apt-get", *options, *fetch[1:]], "apt-get download", cwd=scratch, timeout=_FETCH_SECONDS)
    archives = sorted(scratch.glob("*.deb"))
    if not archives:
        raise _Unusable(f"apt-get download left no archive of {package}")
    unpacked = scratch / "unpacked"
    _run(["dpkg-deb", "-x", str(archives[0]), str(unpacked)], "dpkg-deb", cwd=scratch)
    return unpacked


def _private_lists(folder: Path) -> list[str]:
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    return [
        f"-oDir::State::Lists={folder / 'lists'}",
        f"-oDir::Cache={folder / 'cache'}",
        "-oAPT::Sandbox::User=",  # apt must not switch to its own user, which cannot read this private folder
        "-oAPT::Update::Error-Mode=any",
    ]


def _first_working(spec: Spec, paths: Iterator[str], origin: str) -> Tool | None:
    reasons: list[str] = []
    for path in paths:
        try:
            return _on_this_machine(spec, Path(path), origin)
        except _Unusable as reason:
            reasons.append(str(reason))
    if reasons:
        raise _Unusable("; ".join(reasons))
    return None


def _on_this_machine(spec: Spec, path: Path, origin: str) -> Tool:
    prefix = (str(path.absolute()),)
    return Tool(spec.name, prefix, _version(prefix), origin)


def _version(prefix: tuple[str, ...], timeout: float = _RUN_SECONDS) -> str:
    output = _run([*prefix, "--version"], f"{prefix[0]} --version", timeout=timeout)
    match = _VERSION.search(output)
    if match is None:
        raise _Unusable(f"{prefix[0]} --version prints no version")
    return match[1]


def _run(argv: list[str], what: str, *, cwd: Path | None = None, timeout: float = _RUN_SECONDS) -> str:
    """Return the output of a command; raise `_Unusable` with one line if it fails."""
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise _Unusable(f"{what}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise _Unusable(f"{what}: no answer within {timeout:g} s") from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise _Unusable(f"{what}: {lines[-1].strip() if lines else f'exit code {done.returncode}'}")
    return done.stdout + done.stderr
