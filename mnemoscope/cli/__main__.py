"""`python -m mnemoscope.cli` runs the `mnemoscope` command."""

from .app import main

main()
