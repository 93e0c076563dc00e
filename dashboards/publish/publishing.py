"""Publish every board of a site to a running Grafana."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from mnemoscope.errors import MnemoscopeError
from mnemoscope.model.settings import Settings

from ..board import Board
from .grafana import BoardResult, Grafana, folder_uid, without_secrets

TIMEOUT = 15.0
MAX_MESSAGE = 500
"""The longest note that Grafana keeps with a version."""

MAX_BODY = 1024 * 1024
"""The largest board that is sent. Grafana has no limit, but proxies in front of it often stop at 1 MiB."""


@dataclass(frozen=True, slots=True)
class Report:
    """What `publish` did. As text, it has one line for the folder and one for each board."""

    folder: str
    folder_created: bool
    boards: tuple[BoardResult, ...]

    def __str__(self) -> str:
        folder = f"folder {self.folder}: {'created' if self.folder_created else 'unchanged'}"
        return "\n".join((folder, *(f"{b.uid}: {b.action}  {b.url}" for b in self.boards)))


def publish(settings: Settings, boards: Sequence[Board], url: str, token: str, message: str = "") -> Report:
    """Create or update the folder and every board in the Grafana at `url`.

    A board that is already up to date is not sent. All sizes are checked before the first request, so that a board
    that is too large stops the publication before it begins.

    Args:
        settings: settings of the site.
        boards: the boards to publish.
        url: base address of Grafana.
        token: a service-account token. No error message contains it.
        message: a note that Grafana keeps with each version.

    Raises:
        MnemoscopeError: the address or token is wrong, or Grafana does not answer or refuses a request. The message
            is one line that states what to do.
    """
    address = _address(url)
    if not token.strip() or not token.isascii() or not token.isprintable():
        raise MnemoscopeError(
            "the Grafana token is empty or contains characters that no token has; set GRAFANA_TOKEN to a "
            "service-account token"
        )
    for board in boards:
        _check_size(board)
    headers = {"Authorization": f"Bearer {token.strip()}", "Accept": "application/json"}
    with httpx.Client(base_url=address, headers=headers, timeout=TIMEOUT) as client:
        grafana = Grafana(client, address)
        grafana.check()
        folder = folder_uid(settings.folder)
        created = grafana.ensure_folder(folder, settings.folder)
        results = tuple(grafana.save(board, folder, message[:MAX_MESSAGE]) for board in boards)
    return Report(settings.folder, created, results)


def _address(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise MnemoscopeError(
            "the Grafana address is not a valid address; use one such as https://grafana.example"
        ) from None
    if parsed.scheme not in ("http", "https") or not parsed.host or "%" in parsed.host:
        raise MnemoscopeError(
            f"{without_secrets(parsed)} is not an http or https address; use one such as https://grafana.example"
        )
    if parsed.userinfo:
        raise MnemoscopeError("the Grafana address contains a user or password; set GRAFANA_TOKEN to a token instead")
    return str(parsed.copy_with(query=None, fragment=None)).rstrip("/")


def _check_size(board: Board) -> None:
    size = len(json.dumps(board.document).encode())
    if size > MAX_BODY:
        raise MnemoscopeError(f"board {board.uid}: {size} bytes (maximum {MAX_BODY}); remove panels")
