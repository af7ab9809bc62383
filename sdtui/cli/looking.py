"""The commands that say what there is to measure, and what works on this machine."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sdtui.cli.application import Command, RunsDir, app, narrate, width
from sdtui.model.errors import UserError

PlanFile = Annotated[
    str | None, typer.Option("--plan", metavar="F", help="Know the modes and pipelines of this plan file, too.")
]


@app.command(cls=Command)
def catalog(as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False) -> None:
    """Shows the pipelines, modes and presets."""
    import json

    from sdtui import settings
    from sdtui.catalog.describe import catalog_json, catalog_lines
    from sdtui.catalog.load import load_catalog

    loaded = load_catalog(settings.config_dir())
    typer.echo(json.dumps(catalog_json(loaded), indent=1, ensure_ascii=False) if as_json else catalog_lines(loaded))


modes = typer.Typer(add_completion=False, rich_markup_mode=None, help="Says what a mode does; 'catalog' lists them.")
app.add_typer(modes, name="modes")


@modes.callback()
def _modes() -> None:
    """Keeps ``explain`` a command of its own."""


@modes.command(cls=Command)
def explain(
    mode: Annotated[str, typer.Argument(metavar="MODE", help="As 'catalog' lists it.")],
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", metavar="P", help="Apply it to this one; else to all of the catalog.")
    ] = None,
    plan: PlanFile = None,
) -> None:
    """Says what a mode does to a pipeline, option by option, with the calls that do it."""
    from sdtui import settings
    from sdtui.catalog.load import load_catalog
    from sdtui.catalog.plans import with_plan
    from sdtui.explanation import explain as explained

    typer.echo(explained(mode, pipeline, with_plan(load_catalog(settings.config_dir()), plan)))


@app.command(cls=Command)
def script(
    cell: Annotated[str, typer.Argument(metavar="CELL", help="A cell's id, or pipeline.mode.b1.")],
    run_name: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Take the cell from this run.")] = None,
    scale: Annotated[
        str | None, typer.Option("--scale", metavar="full|tiny", help="Say it for a cell of no run; else full.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="cuda:0|cpu", help="Say it for a cell of no run; else cuda:0.")
    ] = None,
    plan: PlanFile = None,
    runs_dir: RunsDir = None,
) -> None:
    """Prints the bare diffusers script that does what a cell does."""
    from sdtui import settings
    from sdtui.script import script_of

    for flag, value in (("--scale", scale), ("--device", device), ("--plan", plan)):
        if run_name is not None and value is not None:
            raise UserError(f"{flag}: a run's cell has what the run has; leave it out")
    where = settings.runs_dir(runs_dir)
    typer.echo(script_of(cell, run_name, scale or "full", device or "cuda:0", where, plan), nl=False)


@app.command(cls=Command)
def doctor(
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Measure how fast each GPU multiplies matrices, in 2 seconds, and keep that."),
    ] = False,
    device: Annotated[
        str | None, typer.Option("--device", metavar="cuda:0|cpu", help="Probe this device alone.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option("--env", metavar="NAME", help="Probe with this environment's torch.")
    ] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Says what works here, and the command that mends what does not."""
    from sdtui import doctor as diagnosis

    if not probe:
        for flag, value in (("--device", device), ("--env", environment)):
            if value is not None:
                raise UserError(f"{flag}: says what to probe; add --probe, or leave it out")
    failures = diagnosis.probe_here(device, environment, narrate) if probe else []
    findings = diagnosis.diagnose_here(runs_dir) + failures
    typer.echo(diagnosis.render(findings, width(sys.stdout)), nl=False)
    raise typer.Exit(int(any(finding.level == "problem" for finding in findings)))
