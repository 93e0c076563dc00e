"""An HTTP server that keeps Grafana's side of the contract: folders and dashboards of the legacy API.

It refuses what Grafana 12 and 13 refuse, with their statuses and messages, so that the publisher is tested
against answers it will really get.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

_UID = re.compile(r"[a-zA-Z0-9\-_]+\Z")


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, code: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.code, self.body = code, {"message": message, **more}


@dataclass
class Stored:
    document: dict[str, Any]
    folder: str
    message: str
    provisioned: bool = False


@dataclass
class GrafanaContract:
    """A Grafana of one major version. The attributes below switch on the ways in which real ones differ.

    Attributes:
        token: the token that it accepts; any other gets 401.
        viewer: whether the token may read only.
        database_ok: whether /api/health reports a healthy database.
        unique_titles: whether two boards of a folder may not share a title, as before version 11.
        body_limit: bytes a request may have, as a proxy limits it.
        drops_nulls: whether it drops null entries when it stores a board.
        save_between: called before each save, to act as another client.
    """

    version: int = 13
    token: str = "glsa_secret"
    viewer: bool = False
    database_ok: bool = True
    unique_titles: bool = False
    body_limit: int = 10_000_000
    drops_nulls: bool = False
    save_between: Any = None
    folders: dict[str, str] = field(default_factory=dict)
    stored: dict[str, Stored] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def __enter__(self) -> GrafanaContract:
        contract = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                contract.requests.append((self.command, self.path))
                try:
                    status, body = 200, contract.answer(self.command, self.path, self.headers["Authorization"], raw)
                except Refused as refused:
                    status, body = refused.code, refused.body
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=UTF-8")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = _serve

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, path: str, authorization: str | None, raw: bytes) -> dict[str, Any]:
        """Return the JSON of a request that succeeds.

        Raises:
            Refused: it does not.
        """
        if (method, path) == ("GET", "/api/health"):  # needs no token
            if not self.database_ok:
                raise Refused(503, "", database="failing", version=f"{self.version}.0.0")
            return {"database": "ok", "version": f"{self.version}.0.0", "commit": "abc"}
        if authorization != f"Bearer {self.token}":
            raise Refused(401, "Invalid API key", messageId="api-key.invalid")
        if method == "POST" and self.viewer:
            raise Refused(403, "You'll need additional permissions to perform this action.", title="Access denied")
        if len(raw) > self.body_limit:
            raise Refused(413, "request entity too large")
        match method, path.split("/")[2:]:
            case "GET", ["folders", uid]:
                if uid not in self.folders:
                    raise Refused(404, "folder not found", status="not-found")
                return {"uid": uid, "title": self.folders[uid]}
            case "POST", ["folders"]:
                return self._create_folder(_parsed(raw))
            case "GET", ["dashboards", "uid", uid]:
                return self._read(uid)
            case "POST", ["dashboards", "db"]:
                return self._save(_parsed(raw))
        raise Refused(404, "Not found")

    def _create_folder(self, body: dict[str, Any]) -> dict[str, Any]:
        uid, title = body.get("uid", ""), body.get("title", "")
        _check_uid(uid)
        if not title:
            raise Refused(400, "folder title cannot be empty")
        if uid in self.folders:
            raise Refused(self._conflict, "a folder with the same uid already exists")
        self.folders[uid] = title
        return {"uid": uid, "title": title}

    def _read(self, uid: str) -> dict[str, Any]:
        if uid not in self.stored:
            raise Refused(404, "Dashboard not found")
        found = self.stored[uid]
        meta = {"folderUid": found.folder, "provisioned": found.provisioned, "version": found.document["version"]}
        document = _without_nulls(found.document) if self.drops_nulls else found.document
        return {"dashboard": document, "meta": {"type": "db", "slug": uid, **meta}}

    def _save(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.save_between is not None:
            self.save_between(self)
        document = body.get("dashboard")
        if not isinstance(document, dict):
            raise Refused(400, "bad request data")
        _check_document(document)
        if len(body.get("message", "")) > 500:
            raise Refused(400, "message too long, max 500 characters")
        # Left out, the folder is the root: a board that was elsewhere moves there.
        folder = body.get("folderUid", "")
        if folder and folder not in self.folders:
            raise Refused(400, "folder not found", status="not-found")
        uid = document.get("uid") or f"made-up-{len(self.stored)}"
        there = self.stored.get(uid)
        if document.get("id") is not None and (there is None or there.document["id"] != document["id"]):
            raise Refused(404, "Dashboard not found", status="not-found")
        if there is not None and there.provisioned:
            raise Refused(400, "Cannot save provisioned dashboard")
        overwrite = body.get("overwrite", False)
        if there is not None and not overwrite and there.document["version"] != document.get("version", 0):
            raise Refused(self._conflict, "The dashboard has been changed by someone else", status="version-mismatch")
        titles = {(s.folder, s.document["title"]) for key, s in self.stored.items() if key != uid}
        if self.unique_titles and (folder, document["title"]) in titles and not overwrite:
            raise Refused(
                self._conflict, "A dashboard with the same name in the folder already exists", status="name-exists"
            )
        number = there.document["id"] if there else len(self.stored) + 1
        version = there.document["version"] + 1 if there else 1
        document = {**document, "id": number, "uid": uid, "version": version}
        self.stored[uid] = Stored(document, folder, body.get("message", ""))
        return {"id": number, "uid": uid, "version": version, "status": "success", "url": f"/d/{uid}/{uid}"}

    @property
    def _conflict(self) -> int:
        return 412 if self.version <= 12 else 409


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        raise Refused(400, "bad request data") from None
    if not isinstance(body, dict):
        raise Refused(400, "bad request data")
    return body


def _without_nulls(value: Any) -> Any:
    return json.loads(
        json.dumps(value), object_hook=lambda found: {key: item for key, item in found.items() if item is not None}
    )


def _check_uid(uid: str) -> None:
    if len(uid) > 40:
        raise Refused(400, "uid too long, max 40 characters")
    if not _UID.match(uid):
        raise Refused(400, "uid contains illegal characters")


def _check_document(document: dict[str, Any]) -> None:
    if not str(document.get("title") or "").strip():
        raise Refused(400, "Dashboard title cannot be empty", status="empty-name")
    if document.get("uid"):
        _check_uid(document["uid"])
    if any(len(tag) > 50 for tag in document.get("tags") or []):
        raise Refused(400, "tag too long, max 50 characters")
    shapes = {"panels": list, "tags": list, "schemaVersion": int, "templating": dict, "time": dict, "title": str}
    for name, shape in shapes.items():
        if name in document and not isinstance(document[name], shape):
            raise Refused(400, f"bad request data: {name}")
    for panel in document.get("panels", []):
        if not isinstance(panel, dict) or not isinstance(panel.get("type"), str):
            raise Refused(400, "bad request data: panel")
        sides = (panel.get("gridPos") or {}).values()
        if not all(isinstance(side, int) for side in sides):
            raise Refused(400, "bad request data: gridPos")
