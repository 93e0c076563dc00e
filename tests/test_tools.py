"""Tools are found in a fixed order; a program that does not work is skipped or reported, and never used."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mnemoscope import tools
from mnemoscope.errors import MnemoscopeError

pytestmark = pytest.mark.slow

FakeProgram = Callable[[str, str], Path]

PROMTOOL = 'echo "promtool, version {version} (branch: HEAD)"'
UTILITIES = ("apt-get", "dpkg-deb")


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the variables, empty PATH and the tools folder, and change to a new folder."""
    for spec in tools.SPECS.values():
        monkeypatch.delenv(spec.variable, raising=False)
    monkeypatch.delenv(tools.TOOLS_DIR_VARIABLE, raising=False)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    here = tmp_path / "project"
    here.mkdir()
    monkeypatch.chdir(here)


def add_to_path(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join([*map(str, folders), os.environ["PATH"]]))


def put(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    return target


def test_the_environment_wins_over_everything(fake_program: FakeProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    given = fake_program("promtool", PROMTOOL.format(version="9.9.9"))
    on_path = fake_program("promtool", PROMTOOL.format(version="1.0.0"))
    add_to_path(monkeypatch, on_path.parent)
    put(on_path, Path(".tools/promtool"))
    monkeypatch.setenv("MNEMOSCOPE_PROMTOOL", str(given))

    tool = tools.find("promtool")

    assert (tool.path, tool.version, tool.origin) == (given, "9.9.9", "MNEMOSCOPE_PROMTOOL")
    assert tool.command("check", "rules") == [str(given), "check", "rules"]


def test_a_wrong_path_in_the_environment_is_an_error_and_not_passed_over(
    fake_program: FakeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_to_path(monkeypatch, fake_program("promtool", PROMTOOL.format(version="1.0.0")).parent)
    monkeypatch.setenv("MNEMOSCOPE_PROMTOOL", "/nowhere/promtool")

    with pytest.raises(MnemoscopeError, match="MNEMOSCOPE_PROMTOOL: /nowhere/promtool is not a program"):
        tools.find("promtool")


def test_a_program_in_the_environment_that_fails_is_an_error_with_its_last_line(
    fake_program: FakeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = fake_program("promtool", "echo starting; echo 'no such library' >&2; exit 127")
    monkeypatch.setenv("MNEMOSCOPE_PROMTOOL", str(broken))

    with pytest.raises(MnemoscopeError, match=r"MNEMOSCOPE_PROMTOOL: .*no such library; correct or unset it"):
        tools.find("promtool")


def test_path_wins_over_the_tools_folder(fake_program: FakeProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = fake_program("promtool", PROMTOOL.format(version="2.1.0"))
    add_to_path(monkeypatch, on_path.parent)
    put(fake_program("promtool", PROMTOOL.format(version="3.1.0")), Path(".tools/promtool"))

    tool = tools.find("promtool")

    assert (tool.path, tool.version, tool.origin) == (on_path, "2.1.0", "PATH")


def test_a_program_on_path_that_does_not_work_is_passed_over(
    fake_program: FakeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_to_path(monkeypatch, fake_program("promtool", "exit 1").parent)
    good = put(fake_program("promtool", PROMTOOL.format(version="3.1.0")), Path(".tools/promtool").absolute())

    assert tools.find("promtool").path == good


@pytest.mark.parametrize(
    "place",
    ["promtool", "bin/promtool", "prometheus-2.53.5.linux-amd64/promtool", "prometheus/usr/bin/promtool"],
)
def test_the_tools_folder_may_hold_a_file_a_release_or_a_package(fake_program: FakeProgram, place: str) -> None:
    put(fake_program("promtool", PROMTOOL.format(version="3.1.0")), Path(".tools") / place)

    assert tools.find("promtool").path == Path.cwd() / ".tools" / place


def test_the_tools_folder_may_lie_elsewhere(
    fake_program: FakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setenv("MNEMOSCOPE_TOOLS_DIR", str(elsewhere))
    put(fake_program("promtool", PROMTOOL.format(version="3.1.0")), elsewhere / "promtool")

    assert tools.find("promtool").origin == str(elsewhere)


def test_alertmanager_is_found_by_the_name_that_the_distribution_gives_it(
    fake_program: FakeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = fake_program("prometheus-alertmanager", "echo 'alertmanager, version 0.25.0' >&2")
    add_to_path(monkeypatch, program.parent)

    tool = tools.find("alertmanager")

    assert (tool.path, tool.version) == (program, "0.25.0")


def fake_docker(fake_program: FakeProgram, tmp_path: Path, info: str = "exit 0") -> Path:
    """Return a fake docker that records each command line and answers like promtool in the image."""
    return fake_program(
        "docker",
        f'echo "$@" >> {tmp_path}/docker.log\n'
        f'case "$1" in info) {info};; run) {PROMTOOL.format(version="2.53.5")};; *) exit 64;; esac',
    )


def test_a_docker_engine_that_runs_serves_promtool_from_the_pinned_image(
    fake_program: FakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = fake_docker(fake_program, tmp_path)
    add_to_path(monkeypatch, docker.parent)

    tool = tools.find("promtool")

    assert tool.path is None
    assert (tool.version, tool.origin) == ("2.53.5", f"Docker, {tools.DOCKER_IMAGE}")
    command = tool.command("check", "rules", "rules.yaml")
    assert command[:2] == [str(docker), "run"]
    assert f"--volume={Path.cwd()}:{Path.cwd()}" in command
    assert f"--workdir={Path.cwd()}" in command
    assert command[-5:] == ["--entrypoint=promtool", tools.DOCKER_IMAGE, "check", "rules", "rules.yaml"]
    recorded = (tmp_path / "docker.log").read_text().splitlines()
    assert recorded[0] == "info"
    assert recorded[1].endswith(f"{tools.DOCKER_IMAGE} --version")


def test_a_container_sees_the_folder_of_an_absolute_path_outside_the_project(
    fake_program: FakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_to_path(monkeypatch, fake_docker(fake_program, tmp_path).parent)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    rules = tmp_path / "site" / "rules.yaml"
    rules.parent.mkdir()
    rules.touch()

    command = tools.find("promtool").command("check", "rules", rules)

    assert f"--volume={rules.parent}:{rules.parent}" in command
    assert command.index(f"--volume={rules.parent}:{rules.parent}") < command.index(tools.DOCKER_IMAGE)
    assert command[-1] == str(rules)


def test_a_docker_without_a_running_engine_is_passed_over_and_named_in_the_error(
    fake_program: FakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = fake_docker(fake_program, tmp_path, info="echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    add_to_path(monkeypatch, docker.parent)

    with pytest.raises(MnemoscopeError, match=r"Docker does not answer: Cannot connect to the Docker daemon"):
        tools.find("promtool")

    assert (tmp_path / "docker.log").read_text().splitlines() == ["info"]


def test_docker_is_not_asked_for_a_server(
    fake_program: FakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_to_path(monkeypatch, fake_docker(fake_program, tmp_path).parent)

    with pytest.raises(MnemoscopeError, match="prometheus was not found"):
        tools.find("prometheus")

    assert not (tmp_path / "docker.log").exists()


def test_where_nothing_serves_one_line_says_what_to_install_and_which_variable_to_set() -> None:
    with pytest.raises(MnemoscopeError) as raised:
        tools.find("alertmanager")

    message = str(raised.value)
    assert "\n" not in message
    assert "install the package prometheus-alertmanager" in message
    assert "set MNEMOSCOPE_ALERTMANAGER" in message
    assert str(Path.cwd() / ".tools") in message
    assert raised.value.exit_code == 2


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set PATH to the system's programs, apt-get and dpkg-deb among them, without prometheus and docker."""
    hidden = {binary for spec in tools.SPECS.values() for binary in spec.binaries} | {"docker"}
    folder = tmp_path / "system"
    folder.mkdir()
    for place in ("/bin", "/usr/bin", "/sbin", "/usr/sbin"):
        for program in Path(place).iterdir():
            if program.name not in hidden and not (folder / program.name).exists():
                (folder / program.name).symlink_to(program)
    add_to_path(monkeypatch, folder)
    assert all(shutil.which(utility) for utility in UTILITIES), "these tests need apt-get and dpkg-deb"


@pytest.mark.usefixtures("apt")
@pytest.mark.prometheus
def test_the_package_is_unpacked_into_the_tools_folder_and_found_there_the_next_time() -> None:
    folder = Path.cwd() / ".tools"

    tool = tools.find("promtool")

    assert tool.origin == f"package prometheus in {folder}"
    assert tool.path == folder / "prometheus/usr/bin/promtool"
    rules = Path("rules.yaml")
    rules.write_text("groups: []\n")
    checked = subprocess.run(tool.command("check", "rules", rules), capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert [path.name for path in folder.iterdir()] == ["prometheus"]
    assert tools.find("promtool").origin == str(folder)
    assert tools.find("prometheus").path == folder / "prometheus/usr/bin/prometheus"


@pytest.mark.usefixtures("apt")
@pytest.mark.prometheus
@pytest.mark.slow
def test_without_package_lists_the_project_fetches_lists_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = tmp_path / "lists"
    (lists / "partial").mkdir(parents=True)
    configuration = tmp_path / "apt.conf"
    configuration.write_text(f'Dir::State::Lists "{lists}";')
    monkeypatch.setenv("APT_CONFIG", str(configuration))

    assert tools.find("promtool").origin == f"package prometheus in {Path.cwd() / '.tools'}"

    assert list((lists / "partial").iterdir()) == [], "the lists of the system stay as they were"


@pytest.mark.usefixtures("apt")
def test_a_broken_unpacked_package_is_replaced() -> None:
    broken = Path(".tools/prometheus/usr/bin/promtool")
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)

    assert tools.find("promtool").path == broken.absolute()


@pytest.mark.usefixtures("apt")
def test_a_tools_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    occupied = tmp_path / "occupied"
    occupied.touch()
    monkeypatch.setenv("MNEMOSCOPE_TOOLS_DIR", str(occupied))

    with pytest.raises(MnemoscopeError, match=r"occupied cannot be written: File exists"):
        tools.find("promtool")
