"""Failures of exporters: they are logged, and never reach the service."""

from __future__ import annotations

from collections.abc import Callable


def log_warning(message: str, *arguments: object, error: Exception | None = None) -> None:
    """Log one warning, with the traceback of `error` if it is given."""
    # Imported late: a service without failures need not load `logging`.
    import logging

    logging.getLogger("mnemoscope").warning(message, *arguments, exc_info=error)


def call_safely(callback: Callable[..., None] | None, *arguments: object) -> None:
    """Call a function of the service, if there is one, and log what it raises."""
    if callback is None:
        return
    try:
        callback(*arguments)
    except Exception as error:
        log_warning("a callback of an exporter failed", error=error)
