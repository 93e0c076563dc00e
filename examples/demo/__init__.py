"""The demo: start a real service, scrape it, query every panel, break it, see the alert, repair it.

`mnemoscope demo` calls `run`. The project's tests also use the parts: supervised processes, a Prometheus, the proofs.
"""

from __future__ import annotations

from .run import run

__all__ = ["run"]
