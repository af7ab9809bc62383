"""The commands about environments: interpreters with a torch of their own."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sdtui.cli.application import Command, app, narrate, width
from sdtui.model.errors import UserError

env = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Registers other Pythons, each with its own torch, to measure in with 'run --env'.",
)
app.add_typer(env, name="env")


def _label(text: str) -> str:
    from sdtui.settings import environment_label

    try:
        return environment_label(text)
    except ValueError as error:
        raise UserError(f"--label: '{text}' {error}") from error


@env.command(cls=Command)
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What plans and --env call it.")],
    python: Annotated[
        str,
        typer.Argument(metavar="PYTHON", help="Its Python, or the folder of the virtual or conda environment."),
    ],
    label: Annotated[
        str | None,
        typer.Option("--label", metavar="TEXT", parser=_label, help="What columns call it instead of 'torch 2.13'."),
    ] = None,
) -> None:
    """Registers an environment; sdtui need not be in it."""
    from sdtui import registry, settings

    loaded = settings.load()
    found = registry.add(loaded, name, python, label)
    versions = ", ".join(f"{each} {found.packages[each]}" for each in ("torch", "diffusers", "transformers"))
    narrate(f"environment '{name}': Python {found.python_version}, {versions}; registered in {loaded.source}")
    narrate(f"try it with 'sdtui env check {name}', measure in it with --env current,{name}")


@env.command("ls", cls=Command)
def list_() -> None:
    """Lists them with their versions, and what keeps one from working."""
    from sdtui import environments, settings
    from sdtui.report.environments import environment_listing

    typer.echo(environment_listing(environments.look(settings.load())), nl=False)


@env.command(cls=Command)
def remove(name: Annotated[str, typer.Argument(metavar="NAME", help="As 'env ls' shows it.")]) -> None:
    """Forgets an environment; its files stay."""
    from sdtui import registry, settings

    removed = registry.remove(settings.load(), name)
    narrate(f"environment '{name}': no longer registered; {removed.python} stays as it is")


@env.command(cls=Command)
def check(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The one to check; without one, all.")] = None,
) -> None:
    """Tries environments; says what is missing, and what mends it."""
    from sdtui import environment_check, settings
    from sdtui.doctor import render

    findings = environment_check.check(settings.load(), name, narrate)
    typer.echo(render(findings, width(sys.stdout)), nl=False)
    raise typer.Exit(int(any(finding.level == "problem" for finding in findings)))
