"""The checker of lock order and the watchdog never hang: not in finalisers, signal handlers, forks, or at exit.

Each test runs in its own process, which is killed if it does not end, and fails the test.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from thread_samples import PATIENCE

pytestmark = pytest.mark.slow

BEGINNING = """
import faulthandler, gc, itertools, logging, os, signal, sys, threading, time
import mnemoscope as scope
from mnemoscope.instrumentation.locks.watch import order, thread_or_task, waits
from mnemoscope.instrumentation.locks.watch.watchdog import watchdog
from mnemoscope.instrumentation.recording.registry import Registry

scope.configure_locks(order="on")
logging.getLogger("mnemoscope").addHandler(logging.NullHandler())
logging.getLogger("mnemoscope").propagate = False

def take(first, second):
    with first, second:
        pass

class Fresh:
    # A new lock of a new name each time; unlike a generator, it may be asked while it is being asked.

    numbers = itertools.count()

    def __next__(self):
        return scope.Lock(f"lock {next(self.numbers)}")

fresh = Fresh()
"""


def run(script: str) -> str:
    """Run a script in its own process, and return what it printed."""
    program = textwrap.dedent(BEGINNING) + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "ignore::DeprecationWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Exception ignored" not in done.stderr
    return done.stdout.strip() + done.stderr.strip()


def test_a_finaliser_at_any_point_of_the_checker_may_take_locks() -> None:
    printed = run("""
        ran = 0

        class Finalised:
            def __init__(self):
                self.itself = self
            def __del__(self):
                global ran
                ran += 1
                take(next(fresh), next(fresh))  # a new edge each time
                take(one, other)
                take(other, one)
                order.inversions.clear()
                order._reported.clear()
                order.edges.clear()
                order._added.clear()

        one, other = scope.Lock("one"), scope.Lock("other")
        gc.disable()
        gc.set_threshold(1, 1, 1)
        for number in range(400):
            first, second = next(fresh), next(fresh)
            Finalised()
            gc.enable()
            take(first, second)
            take(second, first)
            gc.disable()
        assert ran >= 200, ran
        print("done")
        """)
    assert printed == "done"


@pytest.mark.parametrize("module", ["order", "watchdog", "holders", "thread_or_task", "places", "waits"])
def test_at_every_step_of_the_checker_other_locks_may_be_taken_in_the_same_thread(module: str) -> None:
    # As a finaliser or a signal handler would, but at each bytecode of the module in turn.
    printed = run(f"""
        inside = False
        steps = 0

        def trace(frame, event, _):
            global inside, steps
            if inside or not frame.f_code.co_filename.endswith("/locks/watch/{module}.py"):
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                inside = True
                steps += 1
                first, second = next(fresh), next(fresh)
                take(first, second)
                take(second, first)
                waits_for_a_moment()
                inside = False
            return trace

        def waits_for_a_moment():
            busy = next(fresh)
            with busy:
                busy.acquire(timeout=0.0001)

        first, second = next(fresh), next(fresh)
        sys._getframe().f_trace_opcodes = True  # Python 3.12 looks for this as tracing begins
        sys.settrace(trace)
        take(first, second)
        take(second, first)
        waits_for_a_moment()
        sys.settrace(None)
        watchdog.log()
        assert not watchdog._unlogged
        assert steps > 30, steps
        print("done")
        """)
    assert printed == "done"


def test_signal_handlers_take_locks_while_the_main_thread_adds_edges_and_waits() -> None:
    printed = run("""
        handled = 0
        pairs = iter([(next(fresh), next(fresh)) for _ in range(4000)])
        contended = scope.Lock("contended")

        def handle(*_):
            global handled
            handled += 1
            first, second = next(pairs)
            take(first, second)
            take(second, first)
            if not over:
                signal.setitimer(signal.ITIMER_REAL, 0.0005)

        def contend():
            while not over:
                with contended:
                    time.sleep(0)

        over = False
        threading.Thread(target=contend).start()
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0005)
        while handled < 300:
            first, second = next(fresh), next(fresh)
            take(first, second)
            take(second, first)
            with contended:
                pass
            order.forget()
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        print("done")
        """)
    assert printed == "done"


@pytest.mark.parametrize("order", ["on", "sample"])
def test_forked_children_take_locks_and_end_while_other_threads_add_edges(order: str) -> None:
    printed = run(f"""
        scope.configure_locks(order="{order}")
        over = False
        contended = scope.Lock("contended")
        pool = [scope.Lock(f"pooled {{number}}") for number in range(30)]

        def adds():
            for first, second in itertools.cycle(itertools.permutations(pool, 2)):
                if over:
                    return
                take(first, second) if id(first) < id(second) else first.acquire(timeout=0) and first.release()
                with contended:
                    order.edges.clear()
                    scope.Lock("made and dropped")

        def samples():
            while not over:
                scope.configure_locks(order="{order}")
                time.sleep(0.001)

        threads = [threading.Thread(target=work) for work in (adds, adds, samples)]
        for thread in threads:
            thread.start()
        sys.setswitchinterval(1e-5)
        for _ in range(60):
            child = os.fork()
            if child == 0:
                faulthandler.dump_traceback_later(20, exit=True)
                first, second = scope.Lock("first"), scope.Lock("second")
                take(first, second)
                take(second, first)
                with first:
                    assert not first.acquire(timeout=0.001)  # waits, and wakes the watchdog
                watchdog.log()
                os._exit(0 if not watchdog._unlogged else 3)
            _, status = os.waitpid(child, 0)
            assert status == 0, status
        over = True
        for thread in threads:
            thread.join()
        print("done")
        """)
    assert printed == "done"


def test_a_child_that_is_forked_with_every_inner_lock_taken_goes_on() -> None:
    printed = run("""
        from mnemoscope.instrumentation.locks import settings, use_counts

        scope.configure_locks(order="sample")
        lock = scope.Lock("first")
        with lock:
            lock.acquire(timeout=0.001)  # there is a watchdog now
        while not watchdog._started:
            time.sleep(0.001)
        watchdog._looking.acquire()
        settings._sampler._stop._cond.acquire()
        fold = use_counts.Fold()
        claim = use_counts.weakref.ref(fold)
        while not use_counts._guard.admits(claim):
            pass
        made = [scope.Lock(f"made {number}") for number in range(300)]  # each asks for the guard in the child
        child = os.fork()
        if child == 0:
            faulthandler.dump_traceback_later(20, exit=True)
            assert use_counts._guard.holder() is None
            assert waits.under_way() == []
            scope.configure_locks(order="on")
            take(scope.Lock("a"), scope.Lock("b"))
            take(scope.Lock("b"), scope.Lock("a"))
            assert len(order.inversions) == 1
            watchdog.log()
            assert not watchdog._unlogged
            assert watchdog.look_for_deadlocks() == []
            os._exit(0)
        _, status = os.waitpid(child, 0)
        watchdog._looking.release()
        settings._sampler._stop._cond.release()
        assert status == 0, status
        print("done")
        """)
    assert printed == "done"


HANDLER = """
class NoLock:
    # Else `logging.shutdown` waits at the end for the handler's own lock.
    def acquire(self, *_):
        return True
    def release(self, *_):
        return False
    __enter__, __exit__ = acquire, release

class Handler(logging.Handler):
    def createLock(self):
        self.lock = NoLock()
    def emit(self, record):
        with needed:
            print(record.getMessage().splitlines()[0])

logging.getLogger("mnemoscope").addHandler(Handler())
needed, other = scope.Lock("needed"), scope.Lock("other")
"""


def test_a_logging_handler_may_take_the_very_lock_that_is_held_as_an_inversion_is_found() -> None:
    printed = run(
        textwrap.dedent(HANDLER)
        + textwrap.dedent("""
        take(needed, other)
        with other, needed:
            assert len(order.inversions) == 1
            time.sleep(0.05)
        while watchdog._unlogged:
            time.sleep(0.001)
        """)
    )
    assert printed == "lock order inversion: other -> needed -> other"


def test_what_is_found_just_before_the_end_is_logged() -> None:
    printed = run(
        textwrap.dedent(HANDLER)
        + textwrap.dedent("""
        take(needed, other)
        take(other, needed)
        for _ in range(20):
            a, b = next(fresh), next(fresh)
            take(a, b)
            take(b, a)
        """)
    )
    assert printed.count("lock order inversion") == 21


def test_the_end_is_not_kept_up_by_a_handler_that_needs_what_the_main_thread_never_releases() -> None:
    printed = run(
        textwrap.dedent(HANDLER)
        + textwrap.dedent("""
        take(needed, other)
        other.acquire()
        needed.acquire()
        print("held")
        """)
    )
    assert printed == "held"


def test_a_handler_that_raises_ends_nothing() -> None:
    printed = run("""
        class Handler(logging.Handler):
            def emit(self, record):
                raise ValueError("no disk")

        handler = Handler()
        logging.getLogger("mnemoscope").addHandler(handler)
        a, b, c = scope.Lock("a"), scope.Lock("b"), scope.Lock("c")
        take(a, b)
        take(b, a)
        watchdog.log()
        logging.getLogger("mnemoscope").removeHandler(handler)
        logging.getLogger("mnemoscope").addHandler(logging.StreamHandler(sys.stdout))
        take(a, c)
        take(c, a)
        watchdog.log()
        """)
    assert printed.startswith("lock order inversion: c -> a -> c")
