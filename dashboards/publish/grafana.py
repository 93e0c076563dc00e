"""A client for the few calls of Grafana's HTTP API that publishing needs.

It uses the legacy dashboard API, which Grafana 5 to 13 all serve; only the status of a conflict differs. Each failure
becomes one line that states what to do. No message contains the token.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from mnemoscope.errors import MnemoscopeError

from ..board import Board

MAX_UID = 40
"""The longest uid of a folder that Grafana stores."""

# Grafana sets these when it stores a board; they are not compared.
_SERVER_OWNED = ("id", "version")


@dataclass(frozen=True, slots=True)
class BoardResult:
    """What happened to one board, and its address."""

    uid: str
    action: Literal["created", "updated", "unchanged"]
    url: str


def folder_uid(title: str) -> str:
    """Return the uid of the folder `title`: stable, readable, at most 40 characters, and unique for the title."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    digest = hashlib.sha256(title.encode()).hexdigest()[:8]
    return f"{slug[: MAX_UID - len(digest) - 1]}-{digest}".lstrip("-")


def without_secrets(url: httpx.URL) -> str:
    """Return `url` for a message, without user, password and query."""
    return repr(str(url.copy_with(userinfo=b"", query=None)) if url.host else str(url.copy_with(query=None)))


class Grafana:
    """A Grafana server at `address`."""

    def __init__(self, client: httpx.Client, address: str) -> None:
        self._client = client
        self._address = address

    def check(self) -> None:
        """Check that the server is a healthy Grafana.

        Raises:
            MnemoscopeError: it is not.
        """
        answer = self._call("GET", "/api/health")
        if answer.status_code in (401, 403):  # from a proxy in front of Grafana
            raise self._refused(answer, "its front page")
        health = _json(answer)
        if answer.status_code == 503 and health.get("database"):
            raise MnemoscopeError(
                f"Grafana at {self._address} has no database connection; try again when it is healthy"
            )
        if answer.status_code != 200 or "database" not in health:
            raise MnemoscopeError(
                f"{self._address} answers, but is not Grafana (status {answer.status_code} on /api/health); check the "
                "address and its path"
            )

    def ensure_folder(self, uid: str, title: str) -> bool:
        """Create the folder if it is missing, and return whether it was.

        Raises:
            MnemoscopeError: Grafana does not answer or refuses.
        """
        answer = self._call("GET", f"/api/folders/{uid}")
        if answer.status_code == 200:
            return False
        if answer.status_code != 404:
            raise self._refused(answer, f"folder {title!r}")
        answer = self._call("POST", "/api/folders", {"uid": uid, "title": title})
        # 409 and 412: another client created the folder in the meantime.
        if answer.status_code not in (200, 409, 412):
            raise self._refused(answer, f"folder {title!r}")
        return answer.status_code == 200

    def save(self, board: Board, folder: str, message: str) -> BoardResult:
        """Create or update one board, unless it is already up to date.

        Raises:
            MnemoscopeError: Grafana does not answer or refuses.
        """
        answer = self._call("GET", f"/api/dashboards/uid/{board.uid}")
        if answer.status_code not in (200, 404):
            raise self._refused(answer, f"board {board.uid}")
        current = _json(answer) if answer.status_code == 200 else {}
        meta, stored = current.get("meta") or {}, current.get("dashboard") or {}
        url = f"{self._address}/d/{board.uid}"
        if meta.get("provisioned"):
            raise _provisioned(board)
        document = board.json()
        if stored and meta.get("folderUid") == folder and _same(stored, document):
            return BoardResult(board.uid, "unchanged", url)
        # The version that was read, not `overwrite`: a save by another client in between is a conflict, not lost.
        document |= {"id": None, "version": stored.get("version", 0)}
        # Without folderUid Grafana would move the board to the root.
        body = {"dashboard": document, "folderUid": folder, "overwrite": False, "message": message}
        answer = self._call("POST", "/api/dashboards/db", body)
        if answer.status_code != 200:
            raise self._not_saved(answer, board)
        return BoardResult(board.uid, "updated" if stored else "created", url)

    def _not_saved(self, answer: httpx.Response, board: Board) -> MnemoscopeError:
        reason = _reason(answer)
        if answer.status_code in (409, 412):
            if _json(answer).get("status") == "name-exists" or "same name" in reason:
                return MnemoscopeError(
                    f"board {board.uid}: the folder has another board with the title {board.title!r}; rename or "
                    "remove that board",
                    exit_code=1,
                )
            return MnemoscopeError(
                f"board {board.uid}: another user saved it just now; publish again to replace that version",
                exit_code=1,
            )
        if answer.status_code == 400 and "provisioned" in reason.lower():
            return _provisioned(board)
        if answer.status_code == 413:
            return MnemoscopeError(
                f"board {board.uid}: too large for Grafana or for the proxy in front of it; raise its body limit"
            )
        return self._refused(answer, f"board {board.uid}")

    def _refused(self, answer: httpx.Response, what: str) -> MnemoscopeError:
        status, reason = answer.status_code, _reason(answer)
        if status == 401:
            return MnemoscopeError(
                f"Grafana at {self._address} does not accept the token (401); create a new service-account token"
            )
        if status == 403:
            return MnemoscopeError(
                f"Grafana at {self._address}: the token may not read or write {what} (403); give its service account "
                "the Editor role"
            )
        return MnemoscopeError(f"Grafana at {self._address} refused {what} (status {status}): {reason}")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.TimeoutException:
            seconds = self._client.timeout.read
            raise MnemoscopeError(
                f"Grafana at {self._address} did not answer within {seconds:g} s; check the address and the network"
            ) from None
        except httpx.ConnectError as error:
            raise MnemoscopeError(f"no connection to Grafana at {self._address}: {error}; is it running?") from None
        except httpx.HTTPError as error:
            raise MnemoscopeError(
                f"Grafana at {self._address} closed the connection early: {type(error).__name__}; try again"
            ) from None
        if answer.is_redirect:
            target = without_secrets(httpx.URL(answer.headers.get("location", "")))
            raise MnemoscopeError(f"{self._address} redirects to {target}; use that address")
        return answer


def _provisioned(board: Board) -> MnemoscopeError:
    return MnemoscopeError(
        f"board {board.uid}: Grafana loads it from a file (provisioned) and accepts no other version; change the "
        "file, or remove it from provisioning",
        exit_code=1,
    )


def _same(stored: dict[str, Any], document: dict[str, Any]) -> bool:
    def compared(board: dict[str, Any]) -> Any:
        return _without_null({key: value for key, value in board.items() if key not in _SERVER_OWNED})

    return bool(compared(stored) == compared(document))


def _without_null(value: Any) -> Any:
    """Return `value` without null entries: Grafana may drop them when it stores a board."""
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list) else value


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        data = answer.json()
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _reason(answer: httpx.Response) -> str:
    """Return the reason that Grafana gives, at most 200 characters. The body of an HTML page is left out."""
    return str(_json(answer).get("message") or answer.reason_phrase or "no reason given")[:200]
