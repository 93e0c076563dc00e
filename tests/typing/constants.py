"""Prints a module that names every constant of the catalog in each way a service may (`make types` checks it)."""

from __future__ import annotations

from mnemoscope import catalog

WAYS = {
    "package": "from mnemoscope import catalog as package",
    "module": "import mnemoscope.catalog as module",
    "mnemoscope.catalog": "import mnemoscope.catalog",
    "inner": "from mnemoscope.instrumentation import catalog as inner",
}
MISSPELT = "LOCK_WIAT"
REFUSED = "  # type: ignore[attr-defined]"  # which the checkers call unused where they do not refuse the line


def module() -> str:
    """Return the text of the module."""
    constants = [name for name, value in vars(catalog).items() if isinstance(value, catalog.Metric)]
    assert MISSPELT not in constants
    lines = [*WAYS.values(), f"from mnemoscope.catalog import {MISSPELT}{REFUSED}"]
    lines += [f"from mnemoscope.catalog import {name}" for name in constants]
    lines += ["", f"imported: list[mnemoscope.catalog.Metric] = [{', '.join(constants)}]"]
    for way in WAYS:
        every = ", ".join(f"{way}.{name}" for name in constants)
        lines += [f"imported += [{every}]", f"print({way}.{MISSPELT}){REFUSED}"]
    return "\n".join(lines)


if __name__ == "__main__":
    print(module())
