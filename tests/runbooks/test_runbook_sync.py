"""`sync` creates missing pages, updates facts, and does not change text that people wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from runbook_samples import ALERT, Folder, pack_of

from mnemoscope import alerts, runbooks
from mnemoscope.errors import MnemoscopeError
from mnemoscope.model.settings import Settings
from mnemoscope.runbooks import loader
from mnemoscope.runbooks.page import FACTS_BEGIN, FACTS_END

SITES = {
    "prefix": Settings(prefix="engram"),
    "job": Settings(job="agents"),
    "window": Settings(rate_window="10m", scrape_interval="1m"),
    "selectors": Settings(selectors={"namespace": "memory"}, cluster_label="region"),
    "thresholds": Settings.model_validate({"thresholds": {"recall_p99": {"yellow": "0.2"}}}),
    "disabled": Settings.model_validate({"alerts": {ALERT: {"enabled": False}}}),
}


def write(found: dict[Path, str]) -> None:
    for path, text in found.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8"))


def test_an_empty_folder_gets_a_page_for_every_alert_and_the_general_ones(tmp_path: Path) -> None:
    settings = Settings()
    pack = alerts.build(settings)

    found = runbooks.sync(tmp_path / "pages", pack, settings)

    assert {path.stem for path in found} == {*pack.alert_names(), *runbooks.GENERAL_PAGES}
    assert not (tmp_path / "pages").exists(), "sync returns the texts; the caller writes them"


@pytest.mark.parametrize("settings", SITES.values(), ids=SITES)
def test_new_pages_pass_every_check_at_any_site(tmp_path: Path, settings: Settings) -> None:
    pack = alerts.build(settings)
    write(runbooks.sync(tmp_path, pack, settings))

    assert runbooks.lint(tmp_path, pack, settings) == []
    assert runbooks.sync(tmp_path, pack, settings) == {}


def test_new_pages_use_the_names_of_the_site(tmp_path: Path) -> None:
    settings = Settings(prefix="engram", job="agents", rate_window="10m")

    text = "".join(runbooks.sync(tmp_path, alerts.build(settings), settings).values())

    assert "mnemo_" not in text
    assert 'job="memory"' not in text
    assert "engram_lock_wait_duration_seconds_bucket[10m]" in text
    assert "job_track:engram_recall_duration_seconds_bucket:rate10m" in text
    assert "job:engram_slo_recall_latency_errors:ratio_rate5m" in text, "records of objectives keep their windows"


def test_a_page_that_is_up_to_date_is_not_written_again(folder: Folder) -> None:
    assert runbooks.sync(folder.path, folder.pack, folder.settings) == {}


def test_only_the_facts_of_a_page_change_when_a_threshold_does(folder: Folder) -> None:
    path = folder.path / f"{ALERT}.md"
    prose = "## Meaning\r\n\r\nOurs, with a tab\t, trailing blanks  \r\nand ünicode. mnemo_own_words[5m]"
    head, _, rest = path.read_bytes().decode().partition(FACTS_END)
    path.write_bytes((head + FACTS_END + "\n\n" + prose).encode())
    old = path.read_bytes().decode()
    folder.settings = Settings.model_validate({"prefix": "engram", "thresholds": {"lock_wait_p99": {"yellow": "0.2"}}})
    folder.pack = alerts.build(folder.settings)

    new = runbooks.sync(folder.path, folder.pack, folder.settings)[path]

    assert rest
    assert new != old
    assert new.partition(FACTS_BEGIN)[0] == old.partition(FACTS_BEGIN)[0]
    assert new.partition(FACTS_END)[2] == old.partition(FACTS_END)[2]
    assert "above 200 ms" in new


def test_facts_get_the_line_ends_of_their_page(folder: Folder) -> None:
    path = folder.path / f"{ALERT}.md"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n").replace(b"| warning |", b"| info |"))

    new = runbooks.sync(folder.path, folder.pack, folder.settings)[path]

    assert new.count("\r\n") == new.count("\n")


@pytest.mark.parametrize(
    "marks", [FACTS_BEGIN, FACTS_END, f"{FACTS_END}\n{FACTS_BEGIN}", f"{FACTS_BEGIN}\n" * 2 + FACTS_END]
)
def test_a_page_with_damaged_marks_is_not_changed(folder: Folder, marks: str) -> None:
    path = folder.path / f"{ALERT}.md"
    path.write_text(f"# LockWaitHigh\n\n{marks}\n", encoding="utf-8")

    assert path not in runbooks.sync(folder.path, folder.pack, folder.settings)


def test_an_alert_that_a_site_adds_gets_no_page(folder: Folder) -> None:
    folder.pack = pack_of(folder.settings, ALERT, "SomethingOfOurs")

    assert runbooks.sync(folder.path, folder.pack, folder.settings) == {}


def test_a_page_that_is_not_text_is_an_error_that_names_it(folder: Folder) -> None:
    (folder.path / f"{ALERT}.md").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(MnemoscopeError, match=rf"{ALERT}\.md: cannot be read as a runbook page"):
        runbooks.sync(folder.path, folder.pack, folder.settings)
    with pytest.raises(MnemoscopeError, match=rf"{ALERT}\.md: cannot be read"):
        folder.lint()


def test_localize_leaves_a_default_site_as_it_is() -> None:
    for name, page in runbooks.pages().items():
        text = loader.read(page)
        assert loader.localize(text, Settings()) == text, name
