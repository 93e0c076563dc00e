"""Each check of the pages finds the faults that it is for, names the place, and finds nothing in sound pages."""

from __future__ import annotations

import re

import pytest
from runbook_samples import ALERT, PAGE, RECORD, Folder, pack_of

from mnemoscope.linting.check import Check
from mnemoscope.runbooks import loader
from mnemoscope.runbooks.lints import CHECKS, Subject

# check, what is replaced, by what, words of the message
FAULTS: tuple[tuple[str, str, str, str], ...] = (
    ("headings", "# LockWaitHigh", "# Lock wait", "must have one title, `# LockWaitHigh`"),
    ("headings", "## Impact\n", "Impact.\n", "no heading `## Impact`"),
    ("headings", "A lock is slow.\n", "", "the section Meaning is empty"),
    ("headings", "## Rollback\n", "## Rollback\n\nNo.\n\n## Notes\n", "once each and in this order"),
    ("facts", "<!-- facts:end -->", "", "marks of the block of facts"),
    ("facts", "| warning |", "| info |", "stale"),
    ("diagnosis", '   ```bash\n   curl "$SERVICE/ready"\n   ```\n', "", "step 2 has no query or command"),
    ("diagnosis", "   - If one stands out: go to step 2.\n", "", "step 1 does not state what to do"),
    ("diagnosis", "If one stands out: go to step 2.", "If one stands out go to step 2.", "write the answer as"),
    ("diagnosis", "If one stands out: go to step 2.", "If one stands out: think.", "leads nowhere"),
    ("reference", "1. Which lock?", "Which lock?", "the item is number 2 and should be 1"),
    ("reference", "go to step 2.", "go to step 7.", "refers to step 7, which Diagnosis does not have"),
    ("reference", "go to mitigation 1.", "go to mitigation 2.", "refers to mitigation 2"),
    ("query", "sum by (lock) (rate(", "sum by (lock) (rate((", "not PromQL"),
    ("query", "mnemo_lock_contended_total{", "mnemo_lock_contention_total{", "unknown metric"),
    ("query", 'mode="write"', 'modus="write"', "has no label 'modus'"),
    ("query", 'mode="write"', 'mode="exklusive"', "is never 'exklusive'"),
    ("query", "sum by (lock)", "sum by (lok)", "'lok'"),
    ("query", '   sum by (lock) (rate(mnemo_lock_contended_total{mode="write"}[5m]))\n', "", "query is empty"),
    ("mention", "`mnemo_lock_deferred_depth`", "`mnemo_lock_queue_depth`", "mnemo_lock_queue_depth is not a metric"),
    ("mention", "`mnemo_lock_deferred_depth`", "`job:mnemo_slo_gone:rate5m`", "is not a metric or record"),
    ("link", "(README.md#by-symptom)", "(Readme.md)", "leads nowhere"),
    ("link", "(README.md#by-symptom)", "(README.md#by-smell)", "README.md has no such heading"),
    ("link", "(#rollback)", "(#roll)", "LockWaitHigh.md has no such heading"),
    ("board", "A lock is slow.", "See [it](http://grafana/d/lock-memory?viewPanel=1).", "no board of the pack"),
    ("placeholder", "A lock is slow.", "TODO", "'TODO' is a placeholder"),
    ("placeholder", "A lock is slow.", "Coming soon.", "'Coming soon' is a placeholder"),
    ("placeholder", '"$SERVICE/ready"', "http://<your service>/ready", "<your service> has to be filled in"),
)


@pytest.mark.parametrize(("check", "old", "new", "message"), FAULTS)
def test_a_fault_is_found_by_the_check_that_is_for_it(
    folder: Folder, check: str, old: str, new: str, message: str
) -> None:
    folder.edit(old, new)

    found = [problem for problem in folder.lint() if problem.check == check]

    assert any(message in problem.message for problem in found), folder.lint()
    assert all(re.fullmatch(rf".*/{ALERT}\.md:\d+", problem.where) for problem in found)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_check_finds_its_example_and_nothing_in_sound_pages(check: Check[Subject], folder: Folder) -> None:
    subject = Subject(folder.path, loader.load(folder.path), folder.pack, folder.settings)
    assert list(check.run(subject)) == []
    found = list(check.run(check.failing(subject)))
    assert found
    assert {finding.check for finding in found} == {check.name}


def test_a_finding_names_the_line_where_the_query_begins(folder: Folder) -> None:
    folder.edit("mnemo_lock_contended_total{", "mnemo_lock_gone_total{")
    text = (folder.path / f"{ALERT}.md").read_text(encoding="utf-8")

    (problem,) = folder.lint()

    line = int(problem.where.rpartition(":")[2])
    assert text.splitlines()[line].strip().startswith("sum by (lock) (rate(mnemo_lock_gone_total")


def test_headings_in_another_order_are_found(folder: Folder) -> None:
    folder.edit("## Meaning", "## Swapped")
    folder.edit("## Impact", "## Meaning")
    folder.edit("## Swapped", "## Impact")

    assert [(problem.check, "in this order" in problem.message) for problem in folder.lint()] == [("headings", True)]


def test_facts_below_the_first_section_are_found(folder: Folder) -> None:
    marks = "<!-- facts:begin -->\n<!-- facts:end -->\n"
    folder.write(ALERT, PAGE.replace(marks, "") + "\n" + marks)

    assert [problem.message for problem in folder.lint()] == [
        "the block of facts must stand between the title and the first section"
    ]


def test_facts_that_differ_only_in_line_ends_are_up_to_date(folder: Folder) -> None:
    path = folder.path / f"{ALERT}.md"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert folder.lint() == []


def test_a_diagnosis_without_steps_is_found(folder: Folder) -> None:
    start, end = PAGE.index("1. Which lock?"), PAGE.index("## Mitigation")
    folder.write(ALERT, PAGE[:start] + "Look around.\n\n" + PAGE[end:])

    assert "the diagnosis has no numbered steps" in [problem.message for problem in folder.lint()]


def test_a_record_of_the_pack_may_be_queried_and_named(folder: Folder) -> None:
    folder.edit('sum by (lock) (rate(mnemo_lock_contended_total{mode="write"}[5m]))', RECORD)
    folder.edit("`mnemo_lock_deferred_depth`", f"`{RECORD}`")

    assert folder.lint() == []


def test_metrics_are_checked_in_the_prefix_of_the_site(folder: Folder) -> None:
    folder.settings = folder.settings.model_copy(update={"prefix": "engram"})

    assert "unknown metric or record 'mnemo_lock_contended_total'" in folder.lint()[0].message


def test_general_pages_are_checked_for_queries_and_links_too(folder: Folder) -> None:
    folder.write("Troubleshooting", "# Troubleshooting\n\n```promql\ngone\n```\n\n[x](gone.md)\n")

    assert [problem.check for problem in folder.lint()] == ["query", "link"]


def test_an_alert_without_a_page_is_found(folder: Folder) -> None:
    folder.pack = pack_of(folder.settings, ALERT, "IndexWriteSlow")

    (problem,) = folder.lint()

    assert problem.check == "alert-without-page"
    assert problem.where.endswith("/IndexWriteSlow.md")


def test_a_page_without_an_alert_is_found(folder: Folder) -> None:
    folder.write("LockGone", PAGE.replace("# LockWaitHigh", "# LockGone"))
    folder.edit("(LockWaitHigh.md)", "(LockWaitHigh.md), [gone](LockGone.md)", "README")

    assert [(p.check, p.where.rpartition("/")[2]) for p in folder.lint()] == [("page-without-alert", "LockGone.md")]


def test_the_page_of_a_disabled_alert_may_stay(folder: Folder) -> None:
    folder.pack = pack_of(folder.settings)
    folder.settings = folder.settings.model_validate({"alerts": {ALERT: {"enabled": False}}})

    assert [problem.check for problem in folder.lint()] == ["facts"]

    folder.pack = pack_of(folder.settings, ALERT)
    assert folder.lint() == []


def test_a_page_that_the_index_does_not_link_to_is_found(folder: Folder) -> None:
    folder.edit("[Troubleshooting](Troubleshooting.md)", "nothing", "README")

    assert [(p.check, p.message) for p in folder.lint()] == [
        ("page-not-in-index", "the index does not link to Troubleshooting.md")
    ]


def test_a_missing_index_is_found(folder: Folder) -> None:
    (folder.path / "README.md").unlink()

    assert "page-not-in-index" in [problem.check for problem in folder.lint()]


def test_a_folder_that_is_not_there_lacks_every_page(folder: Folder) -> None:
    folder.path = folder.path / "nowhere"

    assert [problem.check for problem in folder.lint()] == ["alert-without-page", "page-not-in-index"]
