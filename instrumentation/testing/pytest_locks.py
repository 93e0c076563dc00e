"""The pytest plugin: `--lock-order`, and the fixture `concurrently`.

Every pytest run loads it, so it imports little, and changes nothing unless it is asked to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .concurrently import Concurrently

STALL_LIMIT = 10.0
"""Seconds that a test may wait for a lock under `--lock-order`, unless `--lock-stall` says otherwise."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("locks", "locks of mnemoscope")
    group.addoption(
        "--lock-order",
        action="store_true",
        help="fail the tests that take locks in an order that can deadlock, keep a lock, or wait too long for one; "
        "such a wait is ended, but what blocks a test otherwise is not (pytest-timeout, or pytest's "
        "faulthandler_timeout, is for that)",
    )
    group.addoption(
        "--lock-stall",
        type=float,
        default=STALL_LIMIT,
        metavar="SECONDS",
        help="what is too long a wait under --lock-order (default: %(default)g)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Add the marker, and with the option what it does."""
    config.addinivalue_line(
        "markers",
        "lock_order(check=True): with check=False, --lock-order leaves the test alone (say in a comment why)",
    )
    if config.getoption("--lock-order"):
        from .lock_checks import LockChecks

        config.pluginmanager.register(LockChecks(config.getoption("--lock-stall")), "mnemoscope-lock-order")


@pytest.fixture
def concurrently() -> Concurrently:
    """Run an operation many times at once, in threads or tasks, within a time limit.

    When they do not end in time, the test fails with what waits for which lock, and what holds it. See `Concurrently`.
    """
    from .concurrently import Concurrently

    return Concurrently()
