"""The metric reference shows every metric of the catalog, in the names and limits of a site."""

from __future__ import annotations

import re

from mnemoscope.generation import reference
from mnemoscope.instrumentation.catalog import CATALOG, INDEX_WRITE_DURATION, LOCK_WAIT_DURATION
from mnemoscope.model.settings import Settings
from mnemoscope.runbooks import parse


def section(text: str, heading: str) -> str:
    return text.partition(f"### `{heading}`\n")[2].partition("\n#")[0]


def test_every_metric_has_one_section_under_its_area() -> None:
    text = reference.render(Settings())

    headings = [heading.text.strip("`") for heading in parse("metrics", text).headings if heading.level == 3]
    assert sorted(headings) == sorted(metric.prometheus_name() for metric in CATALOG)


def test_the_contents_lead_to_every_area_and_count_its_metrics() -> None:
    page = parse("metrics", reference.render(Settings()))

    areas = [heading.anchor for heading in page.headings if heading.level == 2]
    assert [link.target for link in page.links] == [f"#{anchor}" for anchor in areas]
    counts = re.findall(r"^- \[.*\]\(#.*\): (\d+)$", page.text, re.MULTILINE)
    assert sum(map(int, counts)) == len(CATALOG)


def test_a_section_shows_all_that_a_query_needs() -> None:
    text = section(reference.render(Settings()), INDEX_WRITE_DURATION.prometheus_name())

    for line in (
        "Time to write one entry to an index.",
        "- Constant: `INDEX_WRITE_DURATION`",
        "- OpenTelemetry name: `mnemo.index.write.duration`",
        "- Kind: histogram",
        "- Unit: seconds (`s`)",
        "- Label `index`: name of the index, such as `spatiotemporal`",
        "- Label `outcome`: how the work ended; one of `ok`, `error`, `cancelled`",
        "- Threshold `index_write_p99`: Index write, p99: yellow above 50 ms, red above 200 ms",
        "- Objective `index_write_latency`: 99 % of index writes that succeed take at most 50 ms, over 30d",
        "- Needed by: SLM",
    ):
        assert line in text.splitlines()
    assert "- Buckets, up to: 0.5 ms, 1 ms, 2.5 ms," in text


def test_prefix_and_limits_are_those_of_the_site() -> None:
    settings = Settings.model_validate({"prefix": "engram", "thresholds": {"lock_wait_p99": {"yellow": "0.2"}}})

    text = reference.render(settings)

    assert "mnemo_" not in text
    assert "mnemo." not in text
    assert "yellow above 200 ms, red above 1 s" in section(text, LOCK_WAIT_DURATION.prometheus_name("engram"))


def test_the_page_is_the_same_every_time_and_ends_in_one_line_end() -> None:
    text = reference.render(Settings())

    assert text == reference.render(Settings())
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert text.isprintable() or all(line.isprintable() for line in text.splitlines())
