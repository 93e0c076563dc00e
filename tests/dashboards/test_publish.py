"""Publishing against a server that answers as Grafana 12 and 13 do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from grafana_contract import GrafanaContract, Stored

from mnemoscope.dashboards import Board, publish
from mnemoscope.dashboards.publish import publishing
from mnemoscope.errors import MnemoscopeError
from mnemoscope.model.settings import Settings

TOKEN = "glsa_secret"
SETTINGS = Settings()
FOLDER = publish.folder_uid(SETTINGS.folder)


def run(boards: list[Board], url: str, token: str = TOKEN, message: str = "note") -> publish.Report:
    return publish.publish(SETTINGS, boards, url, token, message)


def refusal(boards: list[Board], url: str, token: str = TOKEN) -> MnemoscopeError:
    """Return the error of a publication that must fail: one line, without the token."""
    with pytest.raises(MnemoscopeError) as caught:
        run(boards, url, token)
    assert "\n" not in str(caught.value)
    assert token.strip() not in str(caught.value) or not token.strip()
    assert caught.value.__cause__ is None
    return caught.value


def test_first_publication_creates_the_folder_and_every_board(grafana: GrafanaContract, boards: list[Board]) -> None:
    report = run(boards, grafana.url, message="release 3")
    assert [(b.uid, b.action) for b in report.boards] == [(board.uid, "created") for board in boards]
    assert report.folder_created
    assert grafana.folders == {FOLDER: "Memory"}
    assert {stored.folder for stored in grafana.stored.values()} == {FOLDER}
    assert {stored.message for stored in grafana.stored.values()} == {"release 3"}
    assert all(b.url == f"{grafana.url}/d/{b.uid}" for b in report.boards)
    assert "dual-memory: created" in str(report)


def test_second_publication_changes_nothing_and_reports_that(grafana: GrafanaContract, boards: list[Board]) -> None:
    run(boards, grafana.url)
    before = len([r for r in grafana.requests if r[0] == "POST"])
    report = run(boards, grafana.url)
    assert {b.action for b in report.boards} == {"unchanged"}
    assert len([r for r in grafana.requests if r[0] == "POST"]) == before


def test_board_whose_nulls_the_store_dropped_is_unchanged(grafana: GrafanaContract, boards: list[Board]) -> None:
    grafana.drops_nulls = True
    run(boards, grafana.url)
    assert {b.action for b in run(boards, grafana.url).boards} == {"unchanged"}


def test_board_edited_in_grafana_is_updated_back(grafana: GrafanaContract, boards: list[Board]) -> None:
    run(boards, grafana.url)
    stored = grafana.stored["dual-memory"]
    stored.document = {**stored.document, "title": "Scribbled over", "version": 7}
    report = run(boards, grafana.url)
    assert [b.action for b in report.boards] == ["updated", "unchanged", "unchanged", "unchanged"]
    assert grafana.stored["dual-memory"].document["title"] == "Dual memory"
    assert grafana.stored["dual-memory"].document["version"] == 8


def test_board_that_was_moved_to_another_folder_comes_back(grafana: GrafanaContract, boards: list[Board]) -> None:
    run(boards, grafana.url)
    grafana.stored["slo-compliance"].folder = ""
    report = run(boards, grafana.url)
    assert report.boards[3].action == "updated"
    assert grafana.stored["slo-compliance"].folder == FOLDER


def test_save_by_another_user_in_between_is_a_conflict_and_not_lost(
    grafana: GrafanaContract, boards: list[Board]
) -> None:
    run(boards, grafana.url)
    grafana.stored["dual-memory"].document["title"] = "edited"

    def another_user(server: GrafanaContract) -> None:
        server.stored["dual-memory"].document["version"] += 1

    grafana.save_between = another_user
    error = refusal(boards, grafana.url)
    assert "board dual-memory: another user saved it" in str(error)
    assert error.exit_code == 1
    assert grafana.stored["dual-memory"].document["title"] == "edited"


def test_title_taken_by_another_board_is_named(grafana: GrafanaContract, boards: list[Board]) -> None:
    grafana.unique_titles = True
    grafana.folders[FOLDER] = "Memory"
    grafana.stored["theirs"] = Stored({"id": 1, "title": "Dual memory", "uid": "theirs", "version": 1}, FOLDER, "")
    error = refusal(boards, grafana.url)
    assert "another board with the title 'Dual memory'" in str(error)
    assert error.exit_code == 1


def test_board_provisioned_from_a_file_is_not_replaced(grafana: GrafanaContract, boards: list[Board]) -> None:
    run(boards, grafana.url)
    grafana.stored["dual-memory"].provisioned = True
    error = refusal(boards, grafana.url)
    assert "provisioned" in str(error)
    assert "change the file" in str(error)


def test_board_that_becomes_provisioned_during_publication_is_refused(
    grafana: GrafanaContract, boards: list[Board]
) -> None:
    run(boards, grafana.url)
    grafana.stored["dual-memory"].document["title"] = "edited"
    grafana.save_between = lambda server: setattr(server.stored["dual-memory"], "provisioned", True)
    assert "provisioned" in str(refusal(boards, grafana.url))


def test_folder_created_by_another_client_meanwhile_is_used(grafana: GrafanaContract, boards: list[Board]) -> None:
    answer = grafana.answer

    def late(method: str, path: str, authorization: str | None, raw: bytes) -> dict[str, object]:
        if (method, path) == ("POST", "/api/folders"):
            grafana.folders[FOLDER] = "Memory"
        return answer(method, path, authorization, raw)

    grafana.answer = late  # type: ignore[method-assign]  # plays the second client of a race
    report = run(boards, grafana.url)
    assert not report.folder_created
    assert len(grafana.stored) == len(boards)


def test_message_is_cut_to_the_length_that_grafana_accepts(grafana: GrafanaContract, boards: list[Board]) -> None:
    run(boards, grafana.url, message="x" * 900)
    assert {len(stored.message) for stored in grafana.stored.values()} == {500}


def test_wrong_token_is_reported_before_anything_is_written(grafana: GrafanaContract, boards: list[Board]) -> None:
    error = refusal(boards, grafana.url, "glsa_wrong")
    assert "does not accept the token (401)" in str(error)
    assert error.exit_code == 2
    assert not grafana.stored


def test_error_for_the_token_of_a_viewer_names_the_role_it_needs(grafana: GrafanaContract, boards: list[Board]) -> None:
    grafana.viewer = True
    assert "give its service account the Editor role" in str(refusal(boards, grafana.url))


@pytest.mark.parametrize("token", ["", "  ", "glsa\nx", "glsä"])
def test_invalid_token_is_refused_without_a_request(token: str, grafana: GrafanaContract, boards: list[Board]) -> None:
    assert "set GRAFANA_TOKEN" in str(refusal(boards, grafana.url, token))
    assert not grafana.requests


def test_grafana_without_its_database_has_its_own_error(grafana: GrafanaContract, boards: list[Board]) -> None:
    grafana.database_ok = False
    assert "no database connection" in str(refusal(boards, grafana.url))


def test_error_for_a_proxy_that_limits_bodies_names_the_limit(grafana: GrafanaContract, boards: list[Board]) -> None:
    grafana.body_limit = 10_000
    assert "raise its body limit" in str(refusal(boards, grafana.url))


def test_board_beyond_the_size_limit_leaves_none_half_published(grafana: GrafanaContract, boards: list[Board]) -> None:
    huge = replace(boards[-1], document={**boards[-1].document, "description": "x" * publishing.MAX_BODY})
    assert "slo-compliance" in str(refusal([*boards[:-1], huge], grafana.url))
    assert not grafana.requests


def test_reason_of_any_other_refusal_is_in_the_error(grafana: GrafanaContract, boards: list[Board]) -> None:
    nameless = replace(boards[0], document={**boards[0].document, "title": ""})
    assert "board dual-memory (status 400): Dashboard title cannot be empty" in str(refusal([nameless], grafana.url))


def test_refused_connection_is_one_line(free_port: int, boards: list[Board]) -> None:
    error = refusal(boards, f"http://127.0.0.1:{free_port}")
    assert "no connection to Grafana" in str(error)
    assert "is it running?" in str(error)


def test_server_that_never_answers_times_out(monkeypatch: pytest.MonkeyPatch, boards: list[Board]) -> None:
    monkeypatch.setattr(publishing, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refusal(boards, f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert "did not answer within 0.2 s" in str(error)


def test_server_that_hangs_up_is_one_line(boards: list[Board]) -> None:
    with answering(lambda handler: handler.connection.close()) as url:
        assert "closed the connection early" in str(refusal(boards, url))


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, "<html>hello</html>", "is not Grafana"),
        (200, '{"status": "ok"}', "is not Grafana"),
        (404, "nothing here", "is not Grafana"),
        (401, "", "does not accept the token"),
        (403, "", "may not read or write its front page"),
    ],
)
def test_anything_that_is_not_grafana_is_recognised(status: int, body: str, expected: str, boards: list[Board]) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body.encode())

    with answering(answer) as url:
        assert expected in str(refusal(boards, url))


def test_redirect_is_named_and_not_followed_with_the_token(boards: list[Board]) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "https://user:word@grafana.example/login?token=abc")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with answering(answer) as url:
        text = str(refusal(boards, url))
    assert "redirects to 'https://grafana.example/login'" in text


@pytest.mark.parametrize("url", ["grafana.example", "ftp://grafana.example", "", "http://", "http://[", "http://a:b@c"])
def test_error_for_an_invalid_address_shows_no_credentials(url: str, boards: list[Board]) -> None:
    text = str(refusal(boards, url))
    assert "address" in text
    assert "a:b" not in text


def test_address_below_a_path_works_as_grafana_behind_a_proxy_needs(boards: list[Board]) -> None:
    seen: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.path)
        handler.send_response(404)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with answering(answer) as url:
        refusal(boards, f"{url}/grafana/")
    assert seen == ["/grafana/api/health"]


@pytest.mark.parametrize("title", ["Memory", "Gedächtnis", "x" * 100, "???", "a b"])
def test_folder_uid_is_valid_and_stable(title: str) -> None:
    uid = publish.folder_uid(title)
    assert uid == publish.folder_uid(title)
    assert 8 <= len(uid) <= 40
    assert all(sign.isascii() and (sign.isalnum() or sign == "-") for sign in uid)


def test_folders_whose_titles_differ_only_in_signs_have_different_uids() -> None:
    assert publish.folder_uid("a b") != publish.folder_uid("a-b")


def test_contract_moves_a_board_to_the_root_when_the_folder_is_left_out(grafana: GrafanaContract) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    grafana.folders["f"] = "F"
    document = {"uid": "u", "title": "t", "version": 0}
    for body in ({"dashboard": document, "folderUid": "f"}, {"dashboard": document, "overwrite": True}):
        assert httpx.post(f"{grafana.url}/api/dashboards/db", json=body, headers=headers, timeout=60).status_code == 200
    assert grafana.stored["u"].folder == ""


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Serve one answer to every request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
