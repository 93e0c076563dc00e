"""Run the service: `python -m mnemoscope.examples.episodic_memory --port 0 --data DIR`."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys

from .config import Config, load
from .errors import StartError
from .lifecycle import Lifecycle, claim, listen
from .service import EpisodicMemory
from .telemetry import describe


def main() -> int:
    """Run until SIGTERM or SIGINT; return 0 after a graceful shutdown, 2 if the service cannot start."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        config = load(sys.argv[1:], os.environ)
        listener = listen(config)
        with claim(config.data):
            describe(config)
            _serve(config, listener, EpisodicMemory(config))
    except StartError as error:
        print(f"episodic_memory: {error}", file=sys.stderr)
        return 2
    return 0


def _serve(config: Config, listener: socket.socket, memory: EpisodicMemory) -> None:
    def announce(url: str) -> None:
        print(f"serving {url} ({config.track}, stage {config.stage}, version {config.version})", flush=True)

    async def run() -> None:
        await Lifecycle(config, listener, memory).run(announce)

    asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
