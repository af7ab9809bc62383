"""The command line's application, and the arguments that several commands take."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from sdtui.model.errors import UserError


class Command(TyperCommand):
    """A command whose help names its arguments as people write them: not ``{RUN}``, nor ``RUN <str>``."""

    def get_help(self, ctx: Any) -> str:
        """Returns the help."""
        for parameter in self.params:
            if parameter.param_type_name == "argument":
                vars(parameter)["display_type_rich"] = lambda ctx: None  # noqa: ARG005, called by name
        return re.sub(r"\{([A-Z]+)\}", r"\1", super().get_help(ctx))


def path_of(flag: str) -> Callable[[str], Path]:
    """Returns what makes a flag's text a path, and refuses an empty one."""

    def path(text: str) -> Path:
        if not text:
            raise UserError(f"{flag}: must not be empty")
        return Path(text)

    return path


app = typer.Typer(
    add_completion=False,
    no_args_is_help=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Measures how fast diffusion pipelines run on the GPU box in front of you.",
    epilog="Without a command it opens the dashboard. Without a terminal, begin with 'sdtui run smoke'.",
)

RunsDir = Annotated[
    Path | None,
    typer.Option(
        "--runs-dir",
        metavar="D",
        parser=path_of("--runs-dir"),
        help="Where runs live; else as SDTUI_RUNS_DIR or runs_dir in settings.toml says, else in the data directory.",
    ),
]
RunName = Annotated[
    str,
    typer.Argument(metavar="RUN", help="An id or its last six characters (or their beginning), a folder, or 'last'."),
]
OnFinish = Annotated[
    str | None,
    typer.Option("--on-finish", metavar="CMD", help="Run this shell command when the run has ended, however it did."),
]
NoMouse = Annotated[
    bool, typer.Option("--no-mouse", help="Leave the mouse to the terminal, which then selects text as ever.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Print the run's folder and leave it going; see 'sdtui watch'.")]


def width(stream: Any) -> int | None:
    """Returns the columns of a terminal; ``None`` of what is none, where a line stays whole."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def narrate(line: str) -> None:
    """Says what is being done; on stderr, which is not the command's data."""
    typer.echo(line, err=True)
