"""The subcommands of `mnemoscope`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import mnemoscope
from mnemoscope import dashboards, tools
from mnemoscope.cli.checks import Step, steps
from mnemoscope.dashboards import publish as publishing
from mnemoscope.errors import MnemoscopeError
from mnemoscope.generation import artifacts
from mnemoscope.linting.silences import Silences
from mnemoscope.model import settings

app = typer.Typer(
    name="mnemoscope",
    help="Dashboards, alert rules and runbooks for agent-memory services, from one catalog.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(soft_wrap=True, highlight=False)

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings file; by default mnemoscope.yaml in this folder, if it exists."),
]


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    Raises:
        MnemoscopeError: a user has to fix the arguments, the settings or the environment.
    """
    try:
        result = app(list(arguments), standalone_mode=False)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        raise KeyboardInterrupt from None
    except typer.TyperException as error:
        if not error.format_message():  # no arguments were given: the help has been printed
            return error.exit_code
        raise MnemoscopeError(f"{error.format_message()} (see `mnemoscope --help`)") from None
    return result if isinstance(result, int) else 0


def _version(wanted: bool) -> None:
    if wanted:
        out.print(mnemoscope.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


@app.command()
def generate(config: Config = None) -> None:
    """Write rules, rule tests, boards, provisioning and the references; update the facts of the runbook pages."""
    rendered = artifacts.render(settings.load(config), _root_of(config))
    changed = artifacts.write(rendered)
    for path in changed:
        out.print(f"{'wrote' if path.exists() else 'removed'} {artifacts.shown(path)}")
    out.print(f"{len(rendered.files)} generated files, {len(changed)} changed")


@app.command()
def check(config: Config = None) -> int:
    """Check rules, rule tests, boards, runbooks and generated files; fail with one line for each finding."""
    chosen = settings.load(config)
    silences = Silences(chosen.silences, date.today())
    found = 0
    for step in (*steps(chosen, _root_of(config)), Step("silences", silences.findings)):
        findings = silences.remaining(step.run())
        out.print(f"{'FAIL' if findings else 'ok  '} {step.name}")
        for finding in findings:
            out.print(f"     {finding}", markup=False)
        found += len(findings)
    out.print(f"{found} finding{'s' if found != 1 else ''}" if found else "all well")
    return 1 if found else 0


@app.command()
def publish(
    config: Config = None,
    url: Annotated[str, typer.Option(envvar="GRAFANA_URL", help="Base address of Grafana.")] = "",
    token: Annotated[
        str, typer.Option(envvar="GRAFANA_TOKEN", help="Service-account token; prefer the environment variable.")
    ] = "",
    message: Annotated[str, typer.Option(help="Note to store with the new version.")] = "",
) -> None:
    """Create or update the four boards in Grafana."""
    chosen = settings.load(config)
    if not url:
        raise MnemoscopeError("no Grafana address: set GRAFANA_URL, as in GRAFANA_URL=https://grafana.example")
    if not token:
        raise MnemoscopeError("no token: set GRAFANA_TOKEN to a service-account token with the Editor role")
    report = publishing.publish(
        chosen, dashboards.build(chosen), url, token, message or f"mnemoscope {mnemoscope.__version__}"
    )
    out.print(str(report), markup=False)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep everything running until Ctrl-C.")] = False,
) -> int:
    """Run the reference service under a real Prometheus and prove every link from probe to runbook."""
    try:
        from mnemoscope.examples import demo as demonstration
    except ModuleNotFoundError as error:
        raise MnemoscopeError(
            f"{error.name} is not installed; the demo needs: pip install 'mnemoscope[demo]'"
        ) from None
    return demonstration.run(keep=keep)


@app.command(name="tools")
def show_tools() -> None:
    """Print which promtool and Prometheus are used, and where they were found."""
    for name in tools.NAMES:
        tool = tools.find(name)
        out.print(f"{tool.name} {tool.version} ({tool.origin}): {' '.join(tool.command())}", markup=False)


def _root_of(config: Path | None) -> Path:
    """Return the folder of the settings file; relative paths in the settings start there."""
    return config.resolve().parent if config is not None else Path(os.getcwd())  # noqa: PTH109  # the shell's view
