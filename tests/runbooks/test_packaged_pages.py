"""The pages that ship: one for each alert of the real pack, and nothing wrong with any of them."""

from __future__ import annotations

import subprocess
from importlib.resources import files
from pathlib import Path

from mnemoscope import alerts, runbooks
from mnemoscope.model.settings import Settings

SETTINGS = Settings()
PACK = alerts.build(SETTINGS)
FOLDER = Path(str(files("mnemoscope.runbooks")))


def test_there_is_a_page_for_each_alert_and_no_other() -> None:
    assert set(runbooks.pages()) == {*alerts.alert_names(), *runbooks.GENERAL_PAGES}


def test_the_pages_have_no_fault() -> None:
    assert [str(problem) for problem in runbooks.lint(FOLDER, PACK, SETTINGS)] == []


def test_the_facts_agree_with_the_default_settings() -> None:
    assert runbooks.sync(FOLDER, PACK, SETTINGS) == {}


def test_every_diagnosis_has_several_steps_and_every_mitigation_several_ways() -> None:
    for name, page in runbooks.load(FOLDER).items():
        if name not in runbooks.GENERAL_PAGES:
            assert len(page.steps["Diagnosis"]) >= 3, name
            assert len(page.steps["Mitigation"]) >= 2, name


def test_every_mitigation_is_reached_by_an_answer() -> None:
    for name, page in runbooks.load(FOLDER).items():
        if name not in runbooks.GENERAL_PAGES:
            answers = " ".join(answer for step in page.steps["Diagnosis"] for answer in step.answers).lower()
            unreached = [m.number for m in page.steps["Mitigation"] if f"mitigation {m.number}" not in answers]
            assert unreached == [], name


def test_every_step_but_the_first_is_reached_by_an_answer() -> None:
    for name, page in runbooks.load(FOLDER).items():
        steps = page.steps.get("Diagnosis", ())
        answers = " ".join(answer for step in steps for answer in step.answers)
        assert [step.number for step in steps[1:] if f"step {step.number}" not in answers] == [], name


def test_every_command_is_a_command_that_bash_can_read() -> None:
    commands = [
        (name, fence.text)
        for name, page in runbooks.load(FOLDER).items()
        for fence in page.fences
        if fence.language == "bash"
    ]
    assert commands
    for name, text in commands:
        read = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
        assert read.returncode == 0, f"{name}: {read.stderr}"
