"""`python -m mnemoscope.cli` is the command `mnemoscope`."""

from .app import main

main()
