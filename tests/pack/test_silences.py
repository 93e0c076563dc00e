"""A silence drops the findings it names until its last day; a silence that drops nothing is a finding itself."""

from __future__ import annotations

from datetime import date, timedelta

from mnemoscope.linting.finding import Finding
from mnemoscope.linting.silences import Silences
from mnemoscope.model.settings import Silence

TODAY = date(2030, 6, 1)
LINK = Finding("runbooks/LockWaitHigh.md:12", "link", "the link leads nowhere")


def silence(check: str = "link", where: str = "runbooks/LockWaitHigh.md:*", until: date = TODAY) -> Silence:
    return Silence(check=check, where=where, reason="the page moves next week", until=until)


def test_a_finding_of_the_named_check_at_a_matching_place_is_dropped_through_the_last_day() -> None:
    silences = Silences([silence()], TODAY)

    other_check = Finding(LINK.where, "query", "not PromQL")
    other_place = Finding("runbooks/README.md:1", LINK.check, LINK.message)
    assert silences.remaining([LINK, other_check, other_place]) == [other_check, other_place]
    assert silences.findings() == []


def test_an_expired_silence_drops_nothing_and_is_a_finding() -> None:
    silences = Silences([silence(until=TODAY - timedelta(days=1))], TODAY)

    assert silences.remaining([LINK]) == [LINK]
    (finding,) = silences.findings()
    assert str(finding).startswith("silences: link at runbooks/LockWaitHigh.md:*: expired on 2030-05-31; ")
    assert str(finding).endswith(" [silence]")


def test_a_silence_that_matches_no_finding_is_a_finding() -> None:
    silences = Silences([silence(), silence(check="lnik")], TODAY)

    assert silences.remaining([LINK]) == []
    assert [str(finding) for finding in silences.findings()] == [
        "silences: lnik at runbooks/LockWaitHigh.md:*: matches no finding; remove it [silence]"
    ]


def test_two_silences_of_one_finding_are_both_in_use() -> None:
    silences = Silences([silence(), silence(where="*")], TODAY)

    assert silences.remaining([LINK]) == []
    assert silences.findings() == []
