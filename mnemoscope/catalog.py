"""The catalog of metrics under its public name: `from mnemoscope.catalog import LOCK_WAIT_DURATION`."""

from mnemoscope.instrumentation.catalog import *  # noqa: F403
