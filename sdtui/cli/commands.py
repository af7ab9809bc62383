"""Takes a command line apart, and runs the command: they register themselves as they are imported."""

from __future__ import annotations

import re
from typing import Any

import typer

from sdtui.cli.application import app
from sdtui.model.errors import UserError, near

# isort: off
from sdtui.cli import measuring, dashboard, reading, looking, environments  # noqa: F401, each adds its commands: the order of --help
# isort: on

UsageError: Any = typer.BadParameter.__base__  # click's, or that of the copy which later releases of typer hold


def run() -> int:
    """Runs the command that the process was started with, and returns the exit status.

    Raises:
        UserError: The command line, or a file of the person's, is wrong.
    """
    try:
        return app(prog_name="sdtui", standalone_mode=False) or 0
    except UsageError as error:
        raise UserError(_usage(error)) from error
    except typer.Abort:  # an interrupt, in earlier releases of typer
        return 130


def _usage(error: Any) -> str:
    """Says what is wrong with a command line that could not be taken apart."""
    command = error.ctx.command if error.ctx else None
    unknown = re.match(r"No such (command|option):? '?(.*?)'?(\.| \(|$| Did)", error.message or "")
    hint = f"try '{error.ctx.command_path if error.ctx else 'sdtui'} --help'"
    if command is None or unknown is None:
        return f"{error.format_message().rstrip('.')}; {hint}"
    options = [name for parameter in command.get_params(error.ctx) for name in parameter.opts]
    close = near(unknown[2], command.commands if unknown[1] == "command" else options)
    return f"unknown {unknown[1]} '{unknown[2]}'; " + (f"did you mean '{close}'?" if close else hint)
