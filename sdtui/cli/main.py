"""The `sdtui` command."""

from __future__ import annotations

import io
import shutil
import sys
import textwrap
from typing import NoReturn

from sdtui.model.errors import UserError


def main() -> None:
    """Runs the command line; a person's mistake is one line on stderr and exit status 2, an interrupt is status 130."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # data has the same bytes in every locale, and a path its own
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        sys.exit(_run())
    except UserError as error:
        _fail(str(error), 2)
    except KeyboardInterrupt:  # before the command itself takes interrupts, such as while modules are imported
        sys.exit(130)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror or error}", 1)


def _run() -> int:
    if len(sys.argv) == 1:  # nothing is there to be taken apart, and what does that takes a fifth of the start
        from sdtui.tui.opening import open_dashboard

        return open_dashboard(None)
    from sdtui.cli import commands

    return commands.run()


def _fail(message: str, status: int) -> NoReturn:
    line = f"sdtui: {' '.join(message.splitlines())}"
    if sys.stderr.isatty():
        columns = shutil.get_terminal_size().columns
        line = textwrap.fill(line, columns, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    sys.stderr.write(line + "\n")
    sys.exit(status)
