"""A bad configuration is refused before anything starts."""

from __future__ import annotations

import os
import socket
import sqlite3
from pathlib import Path

import pytest
from episodic_service import QUIET, Service, refusal

from mnemoscope.examples.episodic_memory.config import load
from mnemoscope.examples.episodic_memory.errors import StartError

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--port=99999", "port: "),
        ("--track=green", "track: "),
        ("--stage=33", "stage: choose one of shadow, 5, 10"),
        ("--fault=storage_errors=2", "faults.storage_errors: "),
        ("--fault=gremlins=1", "faults.gremlins: unknown setting"),
        ("--fault=gremlins", "'gremlins' is not NAME=VALUE"),
        ("--episodic-weight=0.9", "episodic_weight and semantic_weight must add up to 1"),
        ("--no-such-flag", "--help lists the flags"),
        ("--config=/no/such/file.yaml", "cannot be read"),
    ],
)
def test_a_bad_flag_is_named_in_one_line(option: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(StartError) as error:
        load([option, f"--data={tmp_path}"], {})
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_flags_win_over_the_environment_and_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "service.yaml"
    file.write_text("port: 1\nstage: 25\nversion: one\nfaults: {slow_recall: 5, cold_cache: true}\n")
    environment = {"EPISODIC_PORT": "2", "EPISODIC_VERSION": "two", "EPISODIC_FAULTS_SLOW_RECALL": "7", "HOME": "/"}
    config = load([f"--config={file}", "--version=three", f"--data={tmp_path}", "--fault=high_fan=yes"], environment)
    assert (config.port, config.stage, config.version) == (2, "25", "three")
    assert (config.faults.slow_recall, config.faults.cold_cache, config.faults.high_fan) == (7, True, True)


def test_an_unknown_variable_with_our_prefix_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="prot: unknown setting"):
        load([f"--data={tmp_path}"], {"EPISODIC_PROT": "8080"})


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"port: .*; track: "):
        load(["--port=x", "--track=x", f"--data={tmp_path}"], {})


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "unknown: 1"])
def test_a_file_that_is_no_configuration_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "service.yaml"
    file.write_text(text)
    with pytest.raises(StartError):
        load([f"--config={file}"], {})


def test_a_bad_setting_exits_2_with_one_line_and_no_traceback(tmp_path: Path) -> None:
    code, text = refusal("--port=nine", f"--data={tmp_path / 'data'}")
    assert code == 2
    assert text.startswith("episodic_memory: port: ")
    assert text.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_data_folder_that_cannot_be_written_exits_2(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, text = refusal("--port=0", f"--data={tmp_path / 'file' / 'data'}")
    assert (code, text.count("\n")) == (2, 1)
    assert "is not a folder that can be written to" in text


def test_a_taken_port_exits_2_and_leaves_the_stores_alone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, text = refusal(f"--port={port}", f"--data={tmp_path}")
    assert (code, text.count("\n")) == (2, 1)
    assert f"cannot listen on 127.0.0.1:{port}" in text
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_database_exits_2(tmp_path: Path) -> None:
    (tmp_path / "memory.sqlite").write_bytes(os.urandom(8192))
    code, text = refusal("--port=0", f"--data={tmp_path}")
    assert (code, text.count("\n")) == (2, 1)
    assert "restore a backup" in text


def test_a_data_folder_belongs_to_one_instance_at_a_time(tmp_path: Path) -> None:
    with Service(tmp_path, "--seed-episodes=0", *QUIET):
        code, text = refusal("--port=0", f"--data={tmp_path}")
    assert (code, text.count("\n")) == (2, 1)
    assert "in use by another instance" in text


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE associations; CREATE VIEW associations AS SELECT 1 AS concept, 1 AS episode",
        "ALTER TABLE concepts RENAME COLUMN quality TO qualm",
    ],
)
def test_a_store_that_cannot_be_loaded_ends_the_start_with_one_line(damage: str, tmp_path: Path) -> None:
    with Service(tmp_path, "--seed-episodes=5", *QUIET):
        pass
    with sqlite3.connect(tmp_path / "memory.sqlite") as connection:
        connection.executescript(damage)
    connection.close()
    code, text = refusal("--port=0", f"--data={tmp_path}")
    assert (code, text.count("\n")) == (2, 1)
    assert f"{tmp_path}" in text
    assert "restore a backup" in text
