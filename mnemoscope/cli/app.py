"""The entry point of the `mnemoscope` command, which turns every failure into one line and an exit code."""

from __future__ import annotations

import sys

from mnemoscope.errors import MnemoscopeError


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 success, 1 a check failed, 2 unusable arguments, settings or environment."""
    try:
        from mnemoscope.cli.commands import run
    except ModuleNotFoundError as error:
        _fail(f"{error.name} is not installed; the command line needs: pip install 'mnemoscope[pack]'", 2)
    try:
        sys.exit(run(sys.argv[1:] if arguments is None else arguments))
    except MnemoscopeError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the output closed the pipe; no message can reach it
        sys.exit(141)


def _fail(message: str, code: int) -> None:
    print(f"mnemoscope: error: {message}", file=sys.stderr)
    sys.exit(code)
