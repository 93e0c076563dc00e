"""The command line: one line for each mistake, the right exit code, no partial output."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mnemoscope import __version__

pytestmark = pytest.mark.slow

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def mnemoscope(tmp_path: Path) -> Run:
    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        import os

        return subprocess.run(
            [sys.executable, "-m", "mnemoscope.cli", *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def failure(result: subprocess.CompletedProcess[str]) -> str:
    """Return the line of a failure; check that there is only one."""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    return lines[0]


def test_the_version_is_printed(mnemoscope: Run) -> None:
    result = mnemoscope("--version")
    assert (result.returncode, result.stdout.strip()) == (0, __version__)


@pytest.mark.parametrize("arguments", [["generat"], ["generate", "--confg", "x"], ["generate", "extra"]])
def test_a_wrong_call_is_one_line_and_exit_code_2(mnemoscope: Run, arguments: list[str]) -> None:
    result = mnemoscope(*arguments)
    assert result.returncode == 2
    assert failure(result).startswith("mnemoscope: error: ")


@pytest.mark.prometheus
@pytest.mark.slow
def test_what_is_generated_in_an_empty_folder_passes_the_check(mnemoscope: Run) -> None:
    assert mnemoscope("generate").returncode == 0
    checked = mnemoscope("check")
    assert (checked.returncode, checked.stdout.splitlines()[-1]) == (0, "all well"), checked.stdout


def test_the_check_finds_an_edited_file_and_a_missing_page(
    mnemoscope: Run, tmp_path: Path, fake_program: Callable[[str, str], Path]
) -> None:
    assert mnemoscope("generate").returncode == 0
    rules = tmp_path / "generated" / "rules" / "alerts.yaml"
    rules.write_text(rules.read_text().replace("> 0.05", "> 0.04", 1))
    (tmp_path / "runbooks" / "LockWaitHigh.md").unlink()

    promtool = fake_program("promtool", "echo promtool, version 2.42.0")
    checked = mnemoscope("check", MNEMOSCOPE_PROMTOOL=str(promtool))

    assert checked.returncode == 1
    assert "generated/rules/alerts.yaml: does not match" in checked.stdout
    assert "LockWaitHigh" in checked.stdout


def test_a_silence_drops_the_findings_that_it_names_until_it_expires(
    mnemoscope: Run, tmp_path: Path, fake_program: Callable[[str, str], Path]
) -> None:
    assert mnemoscope("generate").returncode == 0
    (tmp_path / "runbooks" / "LockWaitHigh.md").unlink()
    silences = [
        {"check": "alert-without-page", "where": "runbooks/LockWait*.md", "reason": "moves", "until": "2999-12-31"},
        {"check": "stale", "where": "runbooks/LockWait*.md", "reason": "moves", "until": "2999-12-31"},
        {"check": "link", "where": "runbooks/*.md:*", "reason": "the page moves", "until": "2001-12-31"},
    ]
    (tmp_path / "mnemoscope.yaml").write_text(yaml.safe_dump({"silences": silences}))

    promtool = fake_program("promtool", "echo promtool, version 2.42.0")
    checked = mnemoscope("check", MNEMOSCOPE_PROMTOOL=str(promtool))

    assert checked.returncode == 1
    assert "[alert-without-page]" not in checked.stdout
    assert "[stale]" not in checked.stdout
    assert "[link]" in checked.stdout
    assert "silences: link at runbooks/*.md:*: expired on 2001-12-31" in checked.stdout


def test_a_wrong_setting_writes_nothing(mnemoscope: Run, tmp_path: Path) -> None:
    (tmp_path / "mnemoscope.yaml").write_text("alerts:\n  LockWaitHi: {for: 1m}\n")
    result = mnemoscope("generate")
    assert result.returncode == 2
    assert "LockWaitHi" in failure(result)
    assert "LockWaitHigh" in failure(result)
    assert not (tmp_path / "generated").exists()


def test_an_output_that_cannot_be_written_is_one_line(mnemoscope: Run, tmp_path: Path) -> None:
    (tmp_path / "generated").write_text("a file where a folder should be")
    result = mnemoscope("generate")
    assert result.returncode == 2
    assert "generated" in failure(result)


def test_a_missing_promtool_says_what_to_install(mnemoscope: Run, tmp_path: Path) -> None:
    mnemoscope("generate")
    result = mnemoscope("check", MNEMOSCOPE_PROMTOOL=str(tmp_path / "nowhere"))
    assert result.returncode == 2
    assert "MNEMOSCOPE_PROMTOOL" in failure(result)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"GRAFANA_URL": "", "GRAFANA_TOKEN": "t"}, "set GRAFANA_URL"),
        ({"GRAFANA_URL": "http://127.0.0.1:9", "GRAFANA_TOKEN": ""}, "set GRAFANA_TOKEN"),
        ({"GRAFANA_URL": "http://127.0.0.1:9", "GRAFANA_TOKEN": "secret-token"}, "127.0.0.1:9"),
        ({"GRAFANA_URL": "grafana", "GRAFANA_TOKEN": "secret-token"}, "grafana"),
    ],
)
def test_publishing_without_a_grafana_is_one_line_and_never_shows_the_token(
    mnemoscope: Run, environment: dict[str, str], message: str
) -> None:
    result = mnemoscope("publish", **environment)
    assert result.returncode in (1, 2)
    assert message in failure(result)
    assert "secret-token" not in result.stderr


def test_without_the_pack_extra_the_command_says_what_to_install(tmp_path: Path) -> None:
    script = "import sys; sys.modules['typer'] = None\nfrom mnemoscope.cli import main\nmain(['check'])"
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "pip install 'mnemoscope[pack]'" in failure(result)
