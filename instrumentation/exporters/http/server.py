"""A small HTTP server for a service without one: daemon threads, with limits on time, size and connections.

Every connection carries one request. A connection that lasts too long is cut, whether the client reads slowly, writes
slowly or delays its TLS handshake. So a stuck client can hold a thread only for a limited time.
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
# A client of a proxy sends the absolute form, with scheme and host before the path (RFC 9112, 3.2.2).
# Several slashes at the beginning count as one. A fragment is not allowed here and is left out.
_TARGET = re.compile(r"(?:https?://[^/?#]*)?/*(/[^?#]*)\??([^#]*)", re.IGNORECASE)
# An orchestrator's probe has no password, and these paths show no measurements.
_OPEN_PATHS = frozenset({HEALTH_PATH, READY_PATH})
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})
_BIND_ADVICE = {
    errno.EADDRINUSE: "is taken: stop the program that listens there, or choose another port (0 picks a free one)",
    errno.EACCES: "may not be opened by this user: choose a port above 1023",
    errno.EADDRNOTAVAIL: "cannot be opened: the address is not one of this machine; 127.0.0.1 is",
}


class Server:
    """A running server; close it, or use it as a context manager.

    Attributes:
        port: the port that the server listens on, also if a free one was picked.
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
        """Stop listening and cut open connections; do nothing if called again."""
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
    endpoints: Endpoints,
    port: int = DEFAULT_PORT,
    addr: str = "127.0.0.1",
    *,
    certfile: str | os.PathLike[str] | None = None,
    keyfile: str | os.PathLike[str] | None = None,
    basic_auth: tuple[str, str] | None = None,
    timeout: float = 10.0,
    max_connections: int = 64,
) -> Server:
    """Start a server for `endpoints` in a daemon thread; the other arguments are those of `mnemoscope.serve`."""
    port = whole("port", port, 0, 65535)
    timeout = seconds("timeout", timeout)
    max_connections = whole("max_connections", max_connections, 1)
    expected = None if basic_auth is None else credentials(basic_auth)
    if not isinstance(addr, str):
        raise TypeError(f"addr must be a string, an address or a host name, not {addr!r}")
    tls = _tls_context(certfile, keyfile)
    family = socket.AF_INET6 if ":" in addr else socket.AF_INET
    try:
        httpd = _HTTPServer((addr, port), family, endpoints, tls, expected, timeout, max_connections)
    except OSError as error:
        advice = _BIND_ADVICE.get(error.errno or 0, f"cannot be opened: {error.strerror or error}")
        raise OSError(error.errno, f"metrics port {port} on {addr or 'all addresses'} {advice}") from None
    if tls is None and expected is None:
        _warn_of_open_access(httpd)
    if addr in _WILDCARDS:
        return Server(httpd, "[::1]" if family == socket.AF_INET6 else "127.0.0.1")
    return Server(httpd, f"[{addr}]" if family == socket.AF_INET6 else addr)


def _warn_of_open_access(httpd: _HTTPServer) -> None:
    """Log which paths other machines can read without a password, if there are any."""
    address = str(httpd.server_address[0])
    if not ipaddress.ip_address(address).is_loopback:
        log_warning(
            "%s can be read without a password by every machine that reaches %s port %d: listen on 127.0.0.1,"
            " give basic_auth and certfile, or let only Prometheus through a firewall",
            " ".join(httpd.endpoints.paths),
            address,
            httpd.server_port,
        )


def _tls_context(
    certfile: str | os.PathLike[str] | None, keyfile: str | os.PathLike[str] | None
) -> ssl.SSLContext | None:
    if certfile is None:
        if keyfile is not None:
            raise ValueError("keyfile is given without certfile; TLS needs both")
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
    """Refuse an encrypted key; otherwise OpenSSL would prompt for its password on the terminal, and wait."""
    raise OSError(errno.EACCES, "the key is encrypted")


class _HTTPServer(ThreadingHTTPServer):
    # Python 3.14 turns this on, and then a taken port is not an error.
    allow_reuse_port = False
    daemon_threads = True
    # Connections that may wait to be accepted.
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        family: socket.AddressFamily,
        endpoints: Endpoints,
        tls: ssl.SSLContext | None,
        credentials: bytes | None,
        timeout: float,
        max_connections: int,
    ) -> None:
        self.address_family = family
        self.endpoints = endpoints
        self.tls = tls
        self.credentials = credentials
        self.seconds = timeout
        self._free = threading.BoundedSemaphore(max_connections)
        self._deadlines: dict[socket.socket, float] = {}
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer looks up this machine's name here, which can take many seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            connection, address = super().get_request()
        except OSError:
            # Out of descriptors or memory: until some are free, the next try would fail immediately too.
            time.sleep(_POLL_SECONDS)
            raise
        if self.tls is not None:
            # The handshake happens at the first read, in the connection's thread. A client that never finishes it must
            # not stop the server from accepting others.
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
            # No thread can be started: the machine is at its limit, or the interpreter is ending.
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
        """End the connections whose deadline is at or before `now`; their threads see the end of the stream."""
        for connection, deadline in self._deadlines.copy().items():
            if deadline <= now and self._deadlines.pop(connection, None) is not None:
                # It may have ended already. Also under TLS, this is the plain socket's shutdown: it never blocks.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # The service's log is not for clients that disconnect or do not speak TLS.
        pass


class _TooLarge(Exception):
    """The request line and headers together are above the limit."""


class _Handler(BaseHTTPRequestHandler):
    server: _HTTPServer
    protocol_version = "HTTP/1.1"
    # Otherwise an invalid request counts as HTTP/0.9, whose answers have no status line.
    default_request_version = "HTTP/1.0"
    server_version = "mnemoscope"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.seconds)
        self.rfile = _LimitedReader(self.rfile, _MAX_REQUEST_BYTES)  # type: ignore[assignment]  # only lines are read

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
            return plain(401, "User and password required.\n", self.command, CHALLENGE)
        return self.server.endpoints.handle(self.command, path, query, headers)

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
        """Read until the client ends or is cut; a close with unread bytes would discard the answer."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(_MAX_REQUEST_BYTES):
                pass

    def log_message(self, format: str, *args: object) -> None:
        pass  # A scrape every few seconds is not worth a line.


def _located(target: str) -> tuple[str, str]:
    """Return the decoded path and the raw query of a request target; a target without a path is returned as it is."""
    match = _TARGET.match(target)
    return (unquote(match[1]), match[2]) if match else (target, "")


class _LimitedReader:
    """A stream that raises `_TooLarge` once more than `limit` bytes were read as lines."""

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


# Only the server's thread keeps the server alive, so a service may drop the Server object.
_listening: weakref.WeakSet[_HTTPServer] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    # A forked child has no server thread, so a client must find no listening socket.
    for httpd in list(_listening):
        _listening.discard(httpd)
        httpd.socket.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
