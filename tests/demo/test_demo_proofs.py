"""A proof holds if its claim is true, and names every failure if it is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from mnemoscope import alerts, dashboards
from mnemoscope.errors import MnemoscopeError
from mnemoscope.examples.demo import proofs
from mnemoscope.examples.demo.prometheus import PrometheusServer
from mnemoscope.examples.demo.run import BOARD, FAULTS, Fault
from mnemoscope.examples.episodic_memory.faults import Faults
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.model import links
from mnemoscope.model.settings import Settings

pytestmark = pytest.mark.slow

SECONDS = 60.0
SETTINGS = Settings(scrape_interval="1s", rate_window="15s")
StartPrometheus = Callable[..., PrometheusServer]


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"# TYPE up_to_date gauge\nup_to_date 1\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def rules(*rule: str) -> str:
    return "groups: [{name: example, rules: [" + ", ".join(f"{{{text}}}" for text in rule) + "]}]"


def board(*queries: str) -> dashboards.Board:
    targets = [{"refId": chr(ord("A") + place), "expr": expr} for place, expr in enumerate(queries)]
    document = {"panels": [{"id": 7, "title": "Waits", "type": "timeseries", "targets": targets}]}
    return dashboards.Board("dual-memory", "Dual memory", document, {7: "lock-wait"})


@pytest.mark.prometheus
def test_targets_are_up_only_when_each_was_scraped(prometheus_server: StartPrometheus, free_port: int) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        good, bad = f"127.0.0.1:{server.server_port}", f"127.0.0.1:{free_port}"
        prometheus = prometheus_server(targets=[good, bad])

        assert proofs.until(lambda: proofs.targets_up(prometheus, [good]), SECONDS).holds
        both = proofs.targets_up(prometheus, [good, bad])
        unknown = proofs.targets_up(prometheus, ["127.0.0.1:1"])
        server.shutdown()

    assert not both.holds
    assert both.found == "1 of 2"
    assert both.failures[0].startswith(f"{bad}: ")
    assert unknown.failures == ("127.0.0.1:1: no such target",)


@pytest.mark.prometheus
def test_rules_evaluate_holds_when_all_do(prometheus_server: StartPrometheus) -> None:
    prometheus = prometheus_server(rules=rules("record: 'a:b:c', expr: vector(1)", "alert: On, expr: vector(1)"))

    proof = proofs.until(lambda: proofs.rules_evaluate(prometheus), SECONDS)

    assert proof.holds
    assert proof.found == "1 groups, 2 rules"


@pytest.mark.prometheus
def test_rules_evaluate_names_the_rule_that_fails_and_its_error(prometheus_server: StartPrometheus) -> None:
    twice = 'label_replace(vector(1), "a", "b", "", "")'
    prometheus = prometheus_server(
        rules=rules(
            "record: 'a:b:c', expr: vector(1)",
            f"record: 'd:e:f', expr: '({twice} or vector(1)) * on() ({twice} or vector(1))'",
        )
    )

    proof = proofs.until(
        lambda: proofs.Proof("", "", () if "many-to-many" in str(proofs.rules_evaluate(prometheus)) else ("wait",)),
        SECONDS,
    )

    assert proof.holds, proofs.rules_evaluate(prometheus)
    (failure,) = proofs.rules_evaluate(prometheus).failures
    assert failure.startswith("example/d:e:f: ")


@pytest.mark.prometheus
def test_no_rules_at_all_is_no_proof(prometheus_server: StartPrometheus) -> None:
    assert proofs.rules_evaluate(prometheus_server()).failures == ("Prometheus has no rules",)


@pytest.mark.prometheus
def test_panels_without_data_are_named_by_board_panel_and_query(prometheus_server: StartPrometheus) -> None:
    prometheus = prometheus_server()
    boards = [
        board("vector(1)", "absent_series", "vector(0) / 0", "sum(", "count_over_time(vector(1)[$__rate_interval:1s])")
    ]

    proof = proofs.panels_have_data(prometheus, boards, SETTINGS)

    assert proof.found == "2 of 5 queries, 1 boards"
    assert proof.failures[:2] == (
        "dual-memory / Waits / B: no series",
        "dual-memory / Waits / C: nothing but NaN",
    )
    assert proof.failures[2].startswith("dual-memory / Waits / D: Prometheus refused")
    assert proofs.panels_have_data(prometheus, [board("vector(1)")], SETTINGS).holds


@pytest.mark.prometheus
def test_boards_without_a_query_prove_nothing(prometheus_server: StartPrometheus) -> None:
    assert not proofs.panels_have_data(prometheus_server(), [board()], SETTINGS).holds


@pytest.mark.prometheus
def test_an_alert_is_known_by_name_severity_and_state(prometheus_server: StartPrometheus) -> None:
    prometheus = prometheus_server(
        rules=rules("alert: On, expr: vector(1), labels: {severity: critical}, annotations: {runbook_url: there}")
    )

    firing = proofs.until(lambda: proofs.alert_is(prometheus, "On", "critical", "firing"), SECONDS)

    assert firing.holds
    assert proofs.alert_annotations(prometheus, "On", "critical")["runbook_url"] == "there"
    assert proofs.alert_is(prometheus, "On", "critical", "inactive").failures == ("it is firing",)
    assert proofs.alert_is(prometheus, "On", "warning", "inactive").holds
    with pytest.raises(MnemoscopeError, match=r"On \(warning\) does not fire"):
        proofs.alert_annotations(prometheus, "On", "warning")


@pytest.mark.prometheus
@pytest.mark.parametrize(
    ("queries", "limit", "failure"),
    [
        (("vector(time() - {began})",), 0.0, None),
        (("vector(-1)", "vector(time() - {began})"), 0.0, None),
        (("vector(time() - {began})",), 1e6, "it shows "),
        (("vector(2)",), 1.0, "it showed 2 before"),
        (("absent_series", "vector(0) / 0"), 1.0, "it shows 0"),
    ],
)
def test_a_panel_has_moved_when_it_shows_more_than_before_and_more_than_the_limit(
    prometheus_server: StartPrometheus, queries: tuple[str, ...], limit: float, failure: str | None
) -> None:
    prometheus = prometheus_server()
    began = time.time() - 60
    (panel,) = board(*(query.format(began=began) for query in queries)).panels

    proof = proofs.panel_moved(prometheus, panel, SETTINGS, proofs.Limit(limit, Unit.COUNT), began)

    assert proof.holds if failure is None else proof.failures[0].startswith(failure), proof


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.switch)
def test_every_fault_of_the_demo_names_a_switch_an_alert_and_panels_that_exist(fault: Fault) -> None:
    (shown,) = (built for built in dashboards.build(SETTINGS) if built.uid == BOARD)

    assert Faults.model_validate({fault.switch: fault.value})
    assert fault.severity in {rule.severity for rule in alerts.build(SETTINGS).rules_of(fault.alert)}
    assert set(fault.panels) <= set(shown.keys.values())


def test_a_claim_that_never_holds_returns_its_last_proof() -> None:
    answers = iter(range(1_000_000))

    proof = proofs.until(lambda: proofs.Proof("never", str(next(answers)), ("no",)), 0.3)

    assert not proof.holds
    assert int(proof.found) >= 1


@pytest.mark.parametrize(
    ("page", "url", "failure"),
    [
        ("text", "{base}/LockWaitHigh.md", None),
        ("", "{base}/LockWaitHigh.md", "or empty"),
        (None, "{base}/LockWaitHigh.md", "is not there"),
        ("text", "https://elsewhere.example/LockWaitHigh.md", "is not under"),
        ("text", "", "no address is not under"),
    ],
)
def test_a_runbook_address_leads_to_a_page_with_text(
    tmp_path: Path, page: str | None, url: str, failure: str | None
) -> None:
    if page is not None:
        (tmp_path / "LockWaitHigh.md").write_text(page)

    proof = proofs.runbook_exists(url.format(base=SETTINGS.runbook_base_url), SETTINGS, tmp_path)

    assert proof.holds if failure is None else failure in proof.failures[0]


@pytest.mark.parametrize(
    ("url", "failure"),
    [
        ("{grafana}/d/dual-memory?from=now-1h&to=now&viewPanel=7&var-job=memory", None),
        ("{grafana}/d/dual-memory?viewPanel=8", "board dual-memory has no panel 8"),
        ("{grafana}/d/dual-memory", "board dual-memory has no panel in its address"),
        ("{grafana}/d/slo-compliance?viewPanel=7", "no board at /d/slo-compliance"),
        ("https://elsewhere.example/d/dual-memory?viewPanel=7", "is not under"),
        ("", "no address is not under"),
    ],
)
def test_a_dashboard_address_leads_to_a_board_and_a_panel(url: str, failure: str | None) -> None:
    proof = proofs.panel_exists(url.format(grafana=SETTINGS.grafana_url), SETTINGS, [board("vector(1)")])

    assert proof.holds if failure is None else failure in proof.failures[0]


def test_a_grafana_below_a_path_is_understood() -> None:
    settings = Settings(grafana_url="https://example.com/grafana")
    real = dashboards.build(settings)
    panel = real[0].panels[0]
    url = links.dashboard_url(settings.grafana_url, real[0].uid, panel.key)

    proof = proofs.panel_exists(url, settings, real)

    assert proof.holds
    assert panel.title in proof.found
