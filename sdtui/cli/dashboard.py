"""The commands that open the dashboard; without a command, `sdtui` itself does."""

from __future__ import annotations

from typing import Annotated

import typer

from sdtui.cli.application import Command, NoMouse, RunName, RunsDir, app
from sdtui.model.errors import UserError
from sdtui.version import VERSION


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
    runs_dir: RunsDir = None,
    no_mouse: NoMouse = False,
) -> None:
    command = context.invoked_subcommand
    for flag, given in (("--runs-dir", runs_dir), ("--no-mouse", no_mouse)):
        if given and command is not None:
            raise UserError(f"{flag}: is the dashboard's here; write it after '{command}', if that takes it")
    if version:
        typer.echo(f"sdtui {VERSION}")
    elif command is None:
        from sdtui.tui.opening import open_dashboard

        raise typer.Exit(open_dashboard(runs_dir, not no_mouse))


@app.command(cls=Command)
def attach(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="An id, a folder …, as elsewhere; without one, the run that goes on, else the latest."
        ),
    ] = None,
    runs_dir: RunsDir = None,
    no_mouse: NoMouse = False,
) -> None:
    """Opens the dashboard on a run, and follows it."""
    from sdtui.tui import opening

    raise typer.Exit(opening.attach(name, runs_dir, not no_mouse))


@app.command(cls=Command)
def replay(
    name: RunName,
    speed: Annotated[
        str, typer.Option("--speed", metavar="N", help="Play it so many times faster than it was.")
    ] = "10",
    runs_dir: RunsDir = None,
    no_mouse: NoMouse = False,
) -> None:
    """Plays a recorded run in the dashboard, as if it were live."""
    from sdtui.catalog.plans import number

    times = number(speed)
    if isinstance(times, str) or times is None or not 0 < times < float("inf"):
        raise UserError(f"--speed: '{speed}' is no number above 0, such as 10 or 0.5")
    from sdtui.tui import opening

    raise typer.Exit(opening.replay(name, times, runs_dir, not no_mouse))
