"""What is shipped holds what users need and nothing else, and works where there is no checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parent.parent
SOURCES = (
    *("alerts", "dashboards", "examples", "instrumentation", "mnemoscope", "runbooks"),
    *("LICENSE", "README.md", "pyproject.toml"),
)
SECONDS = 300


@dataclass(frozen=True)
class Built:
    sdist: Path
    wheel: Path

    def wheel_names(self) -> list[str]:
        with zipfile.ZipFile(self.wheel) as archive:
            return [name for name in archive.namelist() if not name.endswith("/")]


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both archives, built from a copy of the sources, so that nothing left over in the checkout slips in."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--sdist", "--wheel", "--outdir", out, ".", cwd=copy)
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    return Built(sdist, wheel)


@pytest.mark.slow
def test_the_wheel_puts_one_name_at_the_top_level_and_carries_its_data(built: Built) -> None:
    names = built.wheel_names()

    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"mnemoscope"}
    assert "mnemoscope/py.typed" in names
    for folder, pattern in (("runbooks", "*.md"), ("examples/demo", "*.yaml")):
        expected = {f"mnemoscope/{folder}/{path.name}" for path in (CHECKOUT / folder).glob(pattern)}
        assert expected, f"{folder} has no {pattern}"
        assert expected <= set(names)


@pytest.mark.slow
def test_the_wheel_holds_every_module_of_the_checkout(built: Built) -> None:
    shipped = {name for name in built.wheel_names() if name.endswith(".py")}

    expected = set()
    for name in SOURCES:
        for path in (CHECKOUT / name).rglob("*.py"):
            inside = path.relative_to(CHECKOUT).as_posix()
            expected.add(inside if inside.startswith("mnemoscope/") else f"mnemoscope/{inside}")
    assert shipped == expected


@pytest.mark.slow
def test_a_wheel_built_from_the_unpacked_sdist_holds_the_same_files(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path / "sdist", filter="data")
    (source,) = (tmp_path / "sdist").iterdir()

    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, source, cwd=tmp_path)

    (wheel,) = tmp_path.glob("*.whl")
    assert sorted(Built(built.sdist, wheel).wheel_names()) == sorted(built.wheel_names())


@pytest.mark.slow
def test_the_installed_wheel_decorates_scrapes_and_generates_outside_the_checkout(built: Built, tmp_path: Path) -> None:
    clean = tmp_path / "venv"
    venv.create(clean, with_pip=True)
    python = clean / "bin" / "python"
    constraints = ("--constraint", CHECKOUT / "constraints.txt")
    run(python, "-m", "pip", "install", "--quiet", *constraints, f"{built.wheel}[pack]", cwd=tmp_path)
    here = tmp_path / "site"
    here.mkdir()

    said = run(python, "-I", CHECKOUT / "tests" / "wheel_smoke.py", cwd=here)

    assert said.splitlines()[-1].startswith("decorated, scraped and generated")
    assert (here / "generated").is_dir()
