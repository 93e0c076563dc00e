"""The last pushes of processes that end in many ways, to real receivers over HTTP and gRPC."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from otlp_receivers import SECONDS, Receiver, grpc_receiver, http_receiver

from mnemoscope.instrumentation import catalog

pytestmark = pytest.mark.slow

RECEIVERS = {"http/protobuf": http_receiver, "grpc": grpc_receiver}

# The interval is an hour: nothing arrives but what is pushed at the end.
COMMON = """
import multiprocessing, os, sys, threading
from concurrent.futures import ProcessPoolExecutor
import mnemoscope as scope
from mnemoscope import catalog as m

def start():
    return scope.otlp(sys.argv[1], sys.argv[2], interval=3600)

def record(count):
    scope.counter(m.EPISODE_CREATED).inc(count)

def start_and_record(count):
    start()
    record(count)

def run(method, target):
    child = multiprocessing.get_context(method).Process(target=target, args=(5,))
    child.start()
    child.join()
    assert child.exitcode == 0

"""
ALONE = {
    "by returning": ("start_and_record(3)", 0),
    "by an exception": ("start_and_record(3)\nraise LookupError('the end')", 1),
    "by sys.exit": ("start_and_record(3)\nsys.exit(7)", 7),
    "while another thread still runs": (
        "start()\nthreading.Timer(0.2, record, (2,)).start()\nrecord(1)",
        0,
    ),
}
WITH_A_CHILD = {
    "multiprocessing, fork": "start()\nrun('fork', record)",
    "multiprocessing, fork, a second pusher": "run('fork', start_and_record)\nstart()",
    "multiprocessing, spawn": "run('spawn', start_and_record)\nstart()",
    "multiprocessing, forkserver": "run('forkserver', start_and_record)\nstart()",
    "a pool of processes": """
start()
with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
    pool.submit(record, 5).result()
""",
    "os.fork and sys.exit": """
start()
if (child := os.fork()) == 0:
    record(5)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
    "os.fork after a push": """
assert start().flush()
if (child := os.fork()) == 0:
    record(5)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
}
FORKING_WHILE_PUSHING = """
from mnemoscope.instrumentation.exporters.otlp import pusher as pusher_module
pusher_module._FORK_PATIENCE = 60.0  # here the test decides when the push ends
pusher = start()
thread = threading.Thread(target=pusher.flush, args=(60.0,))
thread.start()
sys.stdin.readline()
print("forking", flush=True)
if (child := os.fork()) == 0:
    record(5)
    sys.exit(0)
thread.join()
assert os.waitpid(child, 0)[1] == 0
record(3)
"""


@pytest.fixture(params=RECEIVERS)
def protocol(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def receiver(protocol: str) -> Iterator[Receiver]:
    with RECEIVERS[protocol]() as running:
        yield running


def command(folder: Path, script: str, receiver: Receiver, protocol: str) -> list[str]:
    # A file, since a spawned child imports it.
    file = folder / "job.py"
    guarded = "".join(f"    {line}\n" for line in script.splitlines())
    file.write_text(f"{COMMON}\nif __name__ == '__main__':\n{guarded}", encoding="utf-8")
    return [sys.executable, str(file), receiver.endpoint, protocol]


def execute(folder: Path, script: str, receiver: Receiver, protocol: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, script, receiver, protocol), capture_output=True, text=True, timeout=60, check=False
    )


def episodes(receiver: Receiver) -> tuple[str, float]:
    """Return instance and count of the next push."""
    request, _ = receiver.next()
    (resource,) = request.resource_metrics
    ids = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    name = catalog.EPISODE_CREATED.otel_name()
    values = [m.sum.data_points[0].as_double for m in resource.scope_metrics[0].metrics if m.name == name]
    return ids["service.instance.id"], sum(values)


@pytest.mark.parametrize("ending", ALONE)
def test_a_script_that_ends_before_its_first_push_pushes_all_it_recorded(
    ending: str, tmp_path: Path, receiver: Receiver, protocol: str
) -> None:
    script, code = ALONE[ending]
    run = execute(tmp_path, script, receiver, protocol)
    assert episodes(receiver)[1] == 3
    assert run.returncode == code, run.stderr
    assert ("Traceback" in run.stderr) is (code == 1)


@pytest.mark.parametrize("way", WITH_A_CHILD)
def test_a_child_that_ends_pushes_all_it_recorded_as_an_instance_of_its_own(
    way: str, tmp_path: Path, receiver: Receiver, protocol: str
) -> None:
    run = execute(tmp_path, f"{WITH_A_CHILD[way]}\nrecord(3)", receiver, protocol)
    assert (run.returncode, "Traceback" in run.stderr) == (0, False), run.stderr
    if way.endswith("after a push"):
        receiver.next()
    child, parent = episodes(receiver), episodes(receiver)
    assert (child[1], parent[1]) == (5, 3)
    assert child[0] != parent[0]


def test_a_child_that_is_forked_in_the_middle_of_a_push_pushes_too(
    tmp_path: Path, receiver: Receiver, protocol: str
) -> None:
    receiver.answering.clear()
    with subprocess.Popen(
        command(tmp_path, FORKING_WHILE_PUSHING, receiver, protocol),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert receiver.arrived.wait(SECONDS)
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert process.stdout.readline() == "forking\n"
        time.sleep(0.3)  # a fork that does not wait for the push has happened by now
        receiver.answering.set()
        assert process.wait(60) == 0
    assert sorted(episodes(receiver)[1] for _ in range(3)) == [0, 3, 5]
