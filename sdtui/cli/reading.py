"""The commands that list, show, report, compare and remove runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sdtui.cli.application import Command, RunName, RunsDir, app, path_of, width
from sdtui.model.errors import UserError


@app.command("ls", cls=Command)
def list_(runs_dir: RunsDir = None) -> None:
    """Lists the runs, oldest first."""
    from sdtui import runs, settings
    from sdtui.report.listing import listing

    where = settings.runs_dir(runs_dir)
    found = runs.list_runs(where)
    if not found:
        typer.echo(f"{where} holds no run; start one with 'sdtui run smoke'", err=True)
    typer.echo(listing(found, width(sys.stdout)), nl=False)


@app.command("rm", cls=Command)
def remove(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN", help="Ids or their last six characters, folders, or 'last'.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Deletes runs; asks first."""
    from sdtui import deleting, runs, settings
    from sdtui.report.listing import listing

    where = settings.runs_dir(runs_dir)
    folders = list(dict.fromkeys(runs.find(where, name) for name in names))
    for folder in folders:
        deleting.check(folder)
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("rm: asks before it deletes, and there is no terminal to ask on; add --yes")
        typer.echo(listing([runs.listed(folder) for folder in folders]), err=True, nl=False)
        which = "this run" if len(folders) == 1 else f"these {len(folders)} runs"
        if not typer.confirm(f"delete {which}?", err=True):
            raise typer.Exit(1)
    for folder in folders:
        deleting.delete(folder)
        typer.echo(f"run {folder.name}: deleted", err=True)


@app.command(cls=Command)
def show(
    name: RunName,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Shows what a run has come to, cell by cell."""
    from sdtui import runs, settings
    from sdtui.report.show import show_json, show_text

    folder = runs.find(settings.runs_dir(runs_dir), name)
    record, state = runs.read(folder), runs.listed(folder).state
    typer.echo(show_json(record, state) if as_json else show_text(record, state), nl=False)


@app.command(cls=Command)
def report(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN", help="Ids or their last six characters, folders, or 'last'.")
    ],
    fmt: Annotated[
        str | None,
        typer.Option("--format", metavar="md|html|csv|json", help="Write it in this format; else as -o F says, or md."),
    ] = None,
    charts: Annotated[
        bool, typer.Option("--charts", help="Draw charts as SVG and PNG beside the Markdown; HTML has them inside.")
    ] = False,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference", metavar="GPU", help="Set the docs page's figures for this GPU beside, such as A100."
        ),
    ] = None,
    price: Annotated[
        str | None,
        typer.Option("--price", metavar="P/h", help="Say what images cost at this price, such as 2.49/h."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="F", parser=path_of("-o"), help="Write to a file; else, or with -, to stdout."
        ),
    ] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Writes one report of one or several runs."""
    from sdtui import runs, settings
    from sdtui.report.cost import parse_price
    from sdtui.report.render import format_of, render, save, uncompared

    output = None if output == Path("-") else output
    fmt = format_of(output, fmt)
    cost = parse_price(price) if price is not None else None
    records = [runs.read(runs.find(settings.runs_dir(runs_dir), name)) for name in names]
    if charts:
        from sdtui.report.charts_files import save_with_charts

        save_with_charts(records, fmt, reference, cost, output)
    else:
        content = render(records, fmt, reference, cost)
        if output is None:
            typer.echo(content, nl=False)
        else:
            save(content, output)
    for line in uncompared(records, reference):
        typer.echo(f"sdtui: --reference: {line}", err=True)


@app.command(cls=Command)
def compare(
    a: Annotated[
        str, typer.Argument(metavar="A", help="A run: an id or its last six characters, a folder, or 'last'.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The run to hold against it.")],
    fail_on_regression: Annotated[
        str | None,
        typer.Option("--fail-on-regression", metavar="SHARE", help="Exit 1 if a cell is slower by more, such as 3%."),
    ] = None,
    fmt: Annotated[str, typer.Option("--format", metavar="md|json", help="Write it in this format.")] = "md",
    runs_dir: RunsDir = None,
) -> None:
    """Says of each cell of both runs: faster, slower, same, ambiguous."""
    from sdtui import runs, settings
    from sdtui.report import compare as comparing
    from sdtui.report.compare_report import regression_line, render_comparison

    threshold = comparing.parse_threshold(fail_on_regression) if fail_on_regression is not None else None
    records = [runs.read(runs.find(settings.runs_dir(runs_dir), name)) for name in (a, b)]
    comparison = comparing.compare_runs(*records)
    typer.echo(render_comparison(comparison, fmt, threshold), nl=False)
    status = comparing.exit_status(comparison, threshold)
    if status and threshold is not None:
        typer.echo(f"sdtui: {regression_line(comparison, threshold)}", err=True)
    raise typer.Exit(status)
