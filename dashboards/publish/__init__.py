"""Create and update the boards in a running Grafana, through its legacy dashboard API.

That API is there in every version from 5 to 13; only the status of a conflict differs. Whatever Grafana
answers, the person gets one line that says what to do, and no message ever carries the token.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from mnemoscope.errors import MnemoscopeError
from mnemoscope.model.settings import Settings

from ..board import Board

TIMEOUT = 15.0
MAX_MESSAGE = 500
MAX_UID = 40
# Grafana itself knows no limit; proxies before it commonly stop at 1 MiB.
MAX_BODY = 1024 * 1024

# What Grafana changes in a board it stores; not part of what was published.
_SERVER_OWNED = ("id", "version")

Action = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class BoardResult:
    """What became of one board, and its address."""

    uid: str
    action: Action
    url: str


@dataclass(frozen=True, slots=True)
class Report:
    """What `publish` did; as text, one line a board."""

    folder: str
    folder_created: bool
    boards: tuple[BoardResult, ...]

    def __str__(self) -> str:
        folder = f"folder {self.folder}: {'created' if self.folder_created else 'unchanged'}"
        return "\n".join((folder, *(f"{b.uid}: {b.action}  {b.url}" for b in self.boards)))


def folder_uid(title: str) -> str:
    """The uid of the folder `title`: readable, stable, at most 40 characters, and different for other "
    "titles."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    digest = hashlib.sha256(title.encode()).hexdigest()[:8]
    return f"{slug[: MAX_UID - len(digest) - 1]}-{digest}".lstrip("-")


def publish(settings: Settings, boards: Sequence[Board], url: str, token: str, message: str = "") -> Report:
    """Bring the folder and every board up to date in the Grafana at `url`.

    A board that Grafana already has, in the right folder, is left alone. Sizes are checked before anything is sent, so
    that a board too large leaves none half-published.

    Raises:
        MnemoscopeError: the address or token is wrong, Grafana does not answer or refuses; says what to do.
    """
    address = _address(url)
    if not token.strip() or not token.isascii() or not token.isprintable():
        raise MnemoscopeError("the Grafana token is empty or holds characters that no token has; set GRAFANA_TOKEN")
    for board in boards:
        _check_size(board)
    headers = {"Authorization": f"Bearer {token.strip()}", "Accept": "application/json"}
    with httpx.Client(base_url=address, headers=headers, timeout=TIMEOUT) as client:
        grafana = _Grafana(client, address)
        grafana.check()
        folder = folder_uid(settings.folder)
        created = grafana.ensure_folder(folder, settings.folder)
        done = tuple(grafana.save(board, folder, message[:MAX_MESSAGE]) for board in boards)
    return Report(settings.folder, created, done)


def _address(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise MnemoscopeError("the Grafana address is no address; give one such as https://grafana.example") from None
    if parsed.scheme not in ("http", "https") or not parsed.host or "%" in parsed.host:
        raise MnemoscopeError(f"{_shown(parsed)} is no http or https address; give one such as https://grafana.example")
    if parsed.userinfo:
        raise MnemoscopeError("the Grafana address carries a user or password; give a token in GRAFANA_TOKEN instead")
    return str(parsed.copy_with(query=None, fragment=None)).rstrip("/")


def _shown(url: httpx.URL) -> str:
    return repr(str(url.copy_with(userinfo=b"", query=None)) if url.host else str(url.copy_with(query=None)))


def _check_size(board: Board) -> None:
    size = len(json.dumps(board.document).encode())
    if size > MAX_BODY:
        raise MnemoscopeError(f"board {board.uid}: {size} bytes, the limit is {MAX_BODY}; leave out panels")


class _Grafana:
    """The few calls that publishing takes, each with its failures in words."""

    def __init__(self, client: httpx.Client, address: str) -> None:
        self._client = client
        self._address = address

    def check(self) -> None:
        """Is a Grafana there, and does it take the token?"""
        answer = self._call("GET", "/api/health")
        if answer.status_code in (401, 403):  # a proxy before Grafana asks for credentials of its own
            raise self._refused(answer, "its front page")
        health = _json(answer)
        if answer.status_code == 503 and health.get("database"):
            raise MnemoscopeError(
                f"Grafana at {self._address} has no database connection; try again when it is healthy"
            )
        if answer.status_code != 200 or "database" not in health:
            raise MnemoscopeError(
                f"{self._address} answers, but is not Grafana (status {answer.status_code} on /api/health); "
                "check the address and its path"
            )

    def ensure_folder(self, uid: str, title: str) -> bool:
        """Create the folder if it is missing; whether it was."""
        answer = self._call("GET", f"/api/folders/{uid}")
        if answer.status_code == 200:
            return False
        if answer.status_code != 404:
            raise self._refused(answer, f"folder {title!r}")
        answer = self._call("POST", "/api/folders", {"uid": uid, "title": title})
        # 409 and 412: somebody else created it a moment ago, which is as good.
        if answer.status_code not in (200, 409, 412):
            raise self._refused(answer, f"folder {title!r}")
        return answer.status_code == 200

    def save(self, board: Board, folder: str, message: str) -> BoardResult:
        """Create or update one board."""
        answer = self._call("GET", f"/api/dashboards/uid/{board.uid}")
        if answer.status_code not in (200, 404):
            raise self._refused(answer, f"board {board.uid}")
        there = _json(answer) if answer.status_code == 200 else {}
        meta, stored = there.get("meta") or {}, there.get("dashboard") or {}
        url = f"{self._address}/d/{board.uid}"
        if meta.get("provisioned"):
            raise _provisioned(board)
        document = board.json()
        if stored and meta.get("folderUid") == folder and _same(stored, document):
            return BoardResult(board.uid, "unchanged", url)
        # The version that was read, not `overwrite`: a save of somebody else in between is a conflict, not lost.
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
                    f"board {board.uid}: another board in the folder is called {board.title!r}; rename or remove it",
                    exit_code=1,
                )
            return MnemoscopeError(
                f"board {board.uid}: somebody else saved it just now; publish again to replace their version",
                exit_code=1,
            )
        if answer.status_code == 400 and "provisioned" in reason.lower():
            return _provisioned(board)
        if answer.status_code == 413:
            return MnemoscopeError(
                f"board {board.uid}: too large for Grafana or the proxy before it; raise its body limit"
            )
        return self._refused(answer, f"board {board.uid}")

    def _refused(self, answer: httpx.Response, what: str) -> MnemoscopeError:
        status, reason = answer.status_code, _reason(answer)
        if status == 401:
            return MnemoscopeError(
                f"Grafana at {self._address} does not accept the token (401); make a new service-account token"
            )
        if status == 403:
            return MnemoscopeError(
                f"Grafana at {self._address}: the token may not read or write {what} (403); give its "
                "service account the Editor role"
            )
        return MnemoscopeError(f"Grafana at {self._address} refused {what} (status {status}): {reason}")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.TimeoutException:
            raise MnemoscopeError(
                f"Grafana at {self._address} did not answer within {TIMEOUT:g} s; check the address and the network"
            ) from None
        except httpx.ConnectError as error:
            raise MnemoscopeError(f"no connection to Grafana at {self._address}: {error}; is it running?") from None
        except httpx.HTTPError as error:
            raise MnemoscopeError(f"Grafana at {self._address} broke off: {type(error).__name__}") from None
        if answer.is_redirect:
            raise MnemoscopeError(
                f"{self._address} redirects to {_shown(httpx.URL(answer.headers.get('location', '')))}; "
                "use that address"
            )
        return answer


def _provisioned(board: Board) -> MnemoscopeError:
    return MnemoscopeError(
        f"board {board.uid}: Grafana reads it from a file (provisioned) and takes no other; "
        "change the file, or remove it from provisioning",
        exit_code=1,
    )


def _same(stored: dict[str, Any], document: dict[str, Any]) -> bool:
    def published(board: dict[str, Any]) -> Any:
        return _without_null({key: value for key, value in board.items() if key not in _SERVER_OWNED})

    return bool(published(stored) == published(document))


def _without_null(value: Any) -> Any:
    """`value` without entries that are null: a store may drop them, and they mean the same as none."""
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
    """What Grafana says, cut short; a page of HTML says nothing."""
    return str(_json(answer).get("message") or answer.reason_phrase or "no reason given")[:200]
