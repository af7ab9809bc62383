"""The `sdtui` command: its commands register themselves as they are imported."""

from __future__ import annotations

import io
import re
import sys
import textwrap
from typing import Any, NoReturn

import typer

from sdtui.cli.application import app, width
from sdtui.model.errors import UserError, near

# isort: off
from sdtui.cli import measuring, dashboard, reading, looking  # noqa: F401, each adds its commands: the order of --help
# isort: on

UsageError: Any = typer.BadParameter.__base__  # click's, or that of the copy which later releases of typer hold


def main() -> None:
    """Runs the command line; a person's mistake is one line on stderr and exit status 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # data has the same bytes in every locale
    try:
        sys.exit(app(prog_name="sdtui", standalone_mode=False) or 0)
    except UserError as error:
        _fail(str(error), 2)
    except UsageError as error:
        _fail(_usage(error), 2)
    except typer.Abort:  # an interrupt, in earlier releases of typer
        sys.exit(130)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror or error}", 1)


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


def _fail(message: str, status: int) -> NoReturn:
    line, columns = f"sdtui: {' '.join(message.splitlines())}", width(sys.stderr)
    if columns:
        line = textwrap.fill(line, columns, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    typer.echo(line, err=True)
    sys.exit(status)
