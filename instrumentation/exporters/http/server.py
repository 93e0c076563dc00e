"""A small HTTP server for a service that has none: own daemon thread, bounded in time, size and number.

Every connection carries one request. A connection that lasts longer than its time, whether it reads slowly,
writes slowly or dawdles over its TLS handshake, is cut; so a stuck client can hold a thread, but not for long.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import re
import socket
import socketserver
import ssl
import threading
import time
import weakref
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from ..arguments import seconds, whole
from ..failures import log_warning
from .basic_auth import CHALLENGE, authorized, credentials
from .endpoints import HEALTH_PATH, READY_PATH, Endpoints, Response, folded, plain

DEFAULT_PORT = 9464
"""The port that OpenTelemetry reserves for a Prometheus endpoint."""

_MAX_REQUEST_BYTES = 16 * 1024
_POLL_SECONDS = 0.1
# In absolute form, as a proxy's client writes it, the scheme and the host stand before the path (RFC 9112, 3.2.2).
# Slashes in front count as one. A fragment has no place here and is left out.
_TARGET = re.compile(r"(?:https?://[^/?#]*)?/*(/[^?#]*)\??([^#]*)", re.IGNORECASE)
# An orchestrator's probe carries no password, and these paths show nothing that is measured.
_OPEN_PATHS = frozenset({HEALTH_PATH, READY_PATH})
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})
_BIND_ADVICE = {
    errno.EADDRINUSE: "is taken: stop what listens there, or choose another port (0 picks a free one)",
    errno.EACCES: "may not be opened by this user: choose a port above 1023",
    errno.EADDRNOTAVAIL: "cannot be opened: the address is not one of this machine; 127.0.0.1 is",
}


class Server:
    """A running server; close it, or use it as a context manager.

    Attributes:
        port: the port it listens on, also when a free one was asked for.
        url: scheme, host and port, without a path.
    """

    def __init__(self, httpd: _HTTPServer, url_host: str) -> None:
        self._httpd = httpd
        self.port: int = httpd.server_address[1]
        self.url = f"{'https' if httpd.tls else 'http'}://{url_host}:{self.port}"
        self._thread = threading.Thread(
            target=httpd.serve_forever, args=(_POLL_SECONDS,), name="mnemoscope-server", daemon=True
        )
        self._thread.start()
        _listening.add(httpd)

    def close(self) -> None:
        """Stop listening and cut what is still connected; calling it again does nothing."""
        if self._httpd not in _listening:
            return
        _listening.discard(self._httpd)
        self._httpd.shutdown()
        self._thread.join()
        self._httpd.server_close()
        self._httpd.cut(float("inf"))

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def serve(
    app: Endpoints,
    port: int = DEFAULT_PORT,
    addr: str = "127.0.0.1",
    *,
    certfile: str | os.PathLike[str] | None = None,
    keyfile: str | os.PathLike[str] | None = None,
    basic_auth: tuple[str, str] | None = None,
    timeout: float = 10.0,
    max_connections: int = 64,
) -> Server:
    """Start a server for `app` in a daemon thread.

    A process that forks keeps the server in the parent; the child starts its own, on another port.

    Args:
        app: what answers.
        port: 0 picks a free one.
        addr: address to listen on; only this machine by default, `0.0.0.0` or `::` for all. Where others can read
            without a password or TLS, one warning is logged.
        certfile: certificate chain; given, the server speaks TLS only.
        keyfile: its key, if the certificate's file does not hold it.
        basic_auth: user and password; `/health` and `/ready` stay open to probes.
        timeout: seconds that one connection may last.
        max_connections: further ones are closed unanswered, until one of these ends.

    Raises:
        OSError: the port cannot be opened or the certificate cannot be loaded; the message says what to do.
        ValueError: an argument that is no use, or a key file without a certificate; the message says what is expected.
        TypeError: `addr` is no string.
    """
    port = whole("port", port, 0, 65535)
    timeout = seconds("timeout", timeout)
    max_connections = whole("max_connections", max_connections, 1)
    expected = None if basic_auth is None else credentials(basic_auth)
    if not isinstance(addr, str):
        raise TypeError(f"addr must be a string, an address or a host name, not {addr!r}")
    tls = _tls_context(certfile, keyfile)
    family = socket.AF_INET6 if ":" in addr else socket.AF_INET
    try:
        httpd = _HTTPServer((addr, port), family, app, tls, expected, timeout, max_connections)
    except OSError as error:
        advice = _BIND_ADVICE.get(error.errno or 0, f"cannot be opened: {error.strerror or error}")
        raise OSError(error.errno, f"metrics port {port} on {addr or 'all addresses'} {advice}") from None
    if tls is None and expected is None:
        _warn_of_readers(httpd)
    if addr in _WILDCARDS:
        return Server(httpd, "[::1]" if family == socket.AF_INET6 else "127.0.0.1")
    return Server(httpd, f"[{addr}]" if family == socket.AF_INET6 else addr)


def _warn_of_readers(httpd: _HTTPServer) -> None:
    """Log which paths others can read, unless only this machine can."""
    address = str(httpd.server_address[0])
    if not ipaddress.ip_address(address).is_loopback:
        log_warning(
            "%s can be read without a password by every machine that reaches %s port %d: listen on 127.0.0.1,"
            " give basic_auth and certfile, or let a firewall admit Prometheus alone",
            " ".join(httpd.app.paths),
            address,
            httpd.server_port,
        )


def _tls_context(
    certfile: str | os.PathLike[str] | None, keyfile: str | os.PathLike[str] | None
) -> ssl.SSLContext | None:
    if certfile is None:
        if keyfile is not None:
            raise ValueError("keyfile is given without certfile: TLS needs both")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certfile, keyfile, _no_password)
    except OSError as error:
        files = " and ".join(str(name) for name in (certfile, keyfile) if name is not None)
        raise OSError(
            error.errno, f"TLS files {files} cannot be loaded ({error.strerror or error}): give readable PEM files"
        ) from None
    return context


def _no_password() -> str:
    """Refuse a key that is encrypted; else OpenSSL would ask for its password on the terminal, and wait."""
    raise OSError(errno.EACCES, "the key is encrypted")


class _HTTPServer(ThreadingHTTPServer):
    # Python 3.14 turns this on, and then a taken port would go unnoticed.
    allow_reuse_port = False
    daemon_threads = True
    # How many connections may wait to be accepted.
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        family: socket.AddressFamily,
        app: Endpoints,
        tls: ssl.SSLContext | None,
        credentials: bytes | None,
        timeout: float,
        max_connections: int,
    ) -> None:
        self.address_family = family
        self.app = app
        self.tls = tls
        self.credentials = credentials
        self.seconds = timeout
        self._free = threading.BoundedSemaphore(max_connections)
        self._deadlines: dict[socket.socket, float] = {}
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer asks the resolver for this machine's name here, which can take many seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            connection, address = super().get_request()
        except OSError:
            # Out of descriptors or memory: until some are given back, the next try would fail at once too.
            time.sleep(_POLL_SECONDS)
            raise
        if self.tls is not None:
            # The handshake happens at the first read, in the connection's own thread: a client that
            # never finishes it must not keep others from being accepted.
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._deadlines[request] = time.monotonic() + self.seconds
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            # No thread can be started: the machine is at its limit, or the interpreter ends.
            self._free.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def shutdown_request(self, request: Any) -> None:
        self._deadlines.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        self.cut(time.monotonic())

    def cut(self, now: float) -> None:
        """End the connections whose time was up at `now`; their threads see the end of the stream."""
        for connection, deadline in self._deadlines.copy().items():
            if deadline <= now and self._deadlines.pop(connection, None) is not None:
                # It may have ended by itself. The plain socket's shutdown, also under TLS: no farewell that blocks.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that goes away or speaks no TLS is no event for the service's log.
        pass


class _TooLarge(Exception):
    """The request line and headers together passed the limit."""


class _Handler(BaseHTTPRequestHandler):
    server: _HTTPServer
    protocol_version = "HTTP/1.1"
    # Else nonsense counts as HTTP/0.9, whose answers have no status line.
    default_request_version = "HTTP/1.0"
    server_version = "mnemoscope"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.seconds)
        self.rfile = _LimitedReader(self.rfile, _MAX_REQUEST_BYTES)  # type: ignore[assignment]  # all that is read here is lines

    def handle_one_request(self) -> None:
        self.requestline, self.request_version, self.command = "", self.protocol_version, ""
        try:
            super().handle_one_request()
        except _TooLarge:
            self.close_connection = True
            self._send(plain(431, f"The request is larger than {_MAX_REQUEST_BYTES} bytes.\n", "GET"))
            self._linger()

    def answer(self) -> None:
        self.close_connection = True
        headers = folded(self.headers.items())
        self._send(self._response(headers))
        if self.command not in ("GET", "HEAD") or "content-length" in headers or "transfer-encoding" in headers:
            self._linger()

    def _response(self, headers: dict[str, str]) -> Response:
        path, query = _located(self.path)
        expected = self.server.credentials
        if expected and path not in _OPEN_PATHS and not authorized(headers.get("authorization", ""), expected):
            return plain(401, "A user and a password are needed.\n", self.command, CHALLENGE)
        return self.server.app.handle(self.command, path, query, headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = answer

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        for chunk in response.body:
            self.wfile.write(chunk)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        super().send_error(code, message, explain)
        self.close_connection = True
        self._linger()

    def _linger(self) -> None:
        """Read on until the client ends or is cut: to close on unread bytes would reset the answer away."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(_MAX_REQUEST_BYTES):
                pass

    def log_message(self, format: str, *args: object) -> None:
        pass  # A scrape every few seconds is no news.


def _located(target: str) -> tuple[str, str]:
    """Return the decoded path and the raw query of a request target; one that has no path is its own path."""
    match = _TARGET.match(target)
    return (unquote(match[1]), match[2]) if match else (target, "")


class _LimitedReader:
    """A stream of which no more than a number of bytes can be read as lines."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream = stream
        self._left = limit

    def readline(self, size: int) -> bytes:
        line: bytes = self._stream.readline(min(size, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise _TooLarge
        return line

    def close(self) -> None:
        self._stream.close()


# Kept by the server's thread alone, so that a service may drop the Server object.
_listening: weakref.WeakSet[_HTTPServer] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    # The thread that served is not here: a client should find nothing that listens.
    for httpd in list(_listening):
        _listening.discard(httpd)
        httpd.socket.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
