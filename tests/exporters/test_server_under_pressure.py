"""The HTTP server in a process that runs out of descriptors, or that is too busy to accept."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

SECONDS = 20

SERVING = """
import contextlib, os, resource, sys, time
from mnemoscope.instrumentation.exporters.http.endpoints import Endpoints
from mnemoscope.instrumentation.exporters.http.server import _HTTPServer, serve
from mnemoscope.instrumentation.exporters.health import Health

tries = 0
get_request = _HTTPServer.get_request

def counted(self):
    global tries
    tries += 1
    return get_request(self)

_HTTPServer.get_request = counted
server = serve(Endpoints(lambda: None, Health()), port=0)
"""

EXHAUSTED = f"""{SERVING}
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
taken = []
with contextlib.suppress(OSError):
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
print(server.port, flush=True)
while not tries:
    time.sleep(0.01)
before, started = tries, time.monotonic()
time.sleep(1)
print(tries - before, time.monotonic() - started, flush=True)
sys.stdin.readline()
for descriptor in taken:
    os.close(descriptor)
sys.stdin.readline()
"""


@contextmanager
def running(script: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def test_without_free_descriptors_the_server_tries_a_few_times_a_second_and_answers_once_some_are_free() -> None:
    with running(EXHAUSTED) as process, connect(int(line(process))) as client:
        client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        tries, elapsed = map(float, line(process).split())
        assert 1 <= tries <= 20 * elapsed
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert client.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"


def test_a_hundred_clients_may_wait_while_the_service_is_busy() -> None:
    with running(f"{SERVING}\nprint(server.port, flush=True)\nsys.stdin.readline()") as process, ExitStack() as clients:
        port = int(line(process))
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        # The kernel lets no more of them connect than may wait; to others it does not answer.
        for _ in range(100):
            clients.enter_context(connect(port))
