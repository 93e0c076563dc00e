"""The whole chain on a real service: start it, scrape it, draw it, break it, see the alert, mend it.

`mnemoscope demo` runs `run`. The parts (supervised processes, a Prometheus, the proofs) stand alone, and the
project's tests use them too.
"""

from __future__ import annotations

from .run import run

__all__ = ["run"]
