"""The pytest plugin: `--lock-order`, and the fixture `concurrently`.

Every pytest run loads it. So it imports little, and changes nothing without the option.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .concurrently import Concurrently

STALL_LIMIT = 10.0
"""Seconds that a test may wait for a lock under `--lock-order`, unless `--lock-stall` gives another limit."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options `--lock-order` and `--lock-stall`."""
    group = parser.getgroup("locks", "locks of mnemoscope")
    group.addoption(
        "--lock-order",
        action="store_true",
        help="fail tests that take locks in an order that can deadlock, do not release a lock, or wait too long for "
        "one. Such a wait is ended. For a test that is blocked by anything else, use pytest-timeout or pytest's "
        "faulthandler_timeout",
    )
    group.addoption(
        "--lock-stall",
        type=float,
        default=STALL_LIMIT,
        metavar="SECONDS",
        help="how long a test may wait for a lock under --lock-order (default: %(default)g)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Add the marker `lock_order`, and the checks if `--lock-order` is given."""
    config.addinivalue_line(
        "markers",
        "lock_order(check=True): with check=False, --lock-order ignores the test (give the reason in a comment)",
    )
    if config.getoption("--lock-order"):
        from .lock_checks import LockChecks

        config.pluginmanager.register(LockChecks(config.getoption("--lock-stall")), "mnemoscope-lock-order")


@pytest.fixture
def concurrently() -> Concurrently:
    """Return a `Concurrently`, which runs an operation many times at the same time, in threads or tasks.

    If they do not end within a time limit, the test fails with a list of the waits and the holders of the locks.
    """
    from .concurrently import Concurrently

    return Concurrently()
