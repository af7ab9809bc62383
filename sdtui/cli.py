"""The command line: each command parses its arguments and calls one function elsewhere."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from sdtui.model.errors import UserError
from sdtui.version import VERSION

app = typer.Typer(
    add_completion=False,
    no_args_is_help=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Measures how fast diffusion pipelines run on the GPU box in front of you.",
    epilog="The dashboard is coming; everything works headless already. Begin with 'sdtui run smoke'.",
)

RunsDir = Annotated[
    Path | None,
    typer.Option("--runs-dir", metavar="D", help="Where runs live (else SDTUI_RUNS_DIR, else the data directory)."),
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="An id, a unique prefix, a folder, or 'last'.")]
Force = Annotated[bool, typer.Option("--force", help="Go on where sdtui would refuse.")]
Detach = Annotated[bool, typer.Option("--detach", help="Print the run's folder and leave it going; see 'sdtui watch'.")]


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False
) -> None:
    if version:
        typer.echo(f"sdtui {VERSION}")
    elif context.invoked_subcommand is None:
        typer.echo("The dashboard is coming. Until then, everything works headless:\n", err=True)
        typer.echo(context.get_help())


@app.command()
def run(
    source: Annotated[
        str | None, typer.Argument(metavar="PLAN|PRESET", help="A plan file or a preset; 'docs' by default.")
    ] = None,
    pipelines: Annotated[
        list[str] | None, typer.Option("--pipeline", metavar="P", help="Replaces the plan's; repeatable.")
    ] = None,
    modes: Annotated[
        list[str] | None, typer.Option("--mode", metavar="M", help="Replaces the plan's; repeatable.")
    ] = None,
    batch_sizes: Annotated[str | None, typer.Option("--batch-size", metavar="N,…", help="Such as 1,4,16.")] = None,
    environments: Annotated[
        str | None, typer.Option("--env", metavar="NAME,…", help="Registered environments; 'current' is this one.")
    ] = None,
    calls: Annotated[str | None, typer.Option("--calls", metavar="N", help="Pipeline calls per cell.")] = None,
    steps: Annotated[str | None, typer.Option("--steps", metavar="N", help="Inference steps of every stage.")] = None,
    size: Annotated[str | None, typer.Option("--size", metavar="N", help="Width and height in pixels.")] = None,
    guidance: Annotated[str | None, typer.Option("--guidance", metavar="G", help="Guidance scale.")] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", metavar="D", help="float16, bfloat16 or float32.")] = None,
    seed: Annotated[str | None, typer.Option("--seed", metavar="S", help="Of weights and latents.")] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", metavar="T", help="Text to encode.")] = None,
    cold: Annotated[bool | None, typer.Option("--cold", help="Empty the compile cache before each cell.")] = None,
    trace: Annotated[
        bool | None, typer.Option("--trace", help="One more call per cell, untimed, under torch.profiler.")
    ] = None,
    scale: Annotated[str | None, typer.Option("--scale", metavar="full|tiny", help="tiny runs without a GPU.")] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", metavar="W", help="random, published, a hub id or a folder.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="cuda:0|cpu", help="Or cuda:GPU-…, by UUID.")
    ] = None,
    runs_dir: RunsDir = None,
    detach: Detach = False,
) -> None:
    """Measures a plan's or a preset's cells; a flag replaces that key."""
    from sdtui import headless

    overrides = {
        "pipelines": pipelines,
        "modes": modes,
        "batch_sizes": batch_sizes,
        "environments": environments.split(",") if environments is not None else None,
        "calls": _number(calls),
        "steps": _number(steps),
        "size": _number(size),
        "guidance": _number(guidance),
        "dtype": dtype,
        "seed": _number(seed),
        "prompt": prompt,
        "cold": cold,
        "trace": trace,
        "scale": scale,
        "weights": weights,
        "device": device,
    }
    raise typer.Exit(headless.run(source, overrides, runs_dir, detach))


@app.command()
def resume(
    name: RunName,
    retry: Annotated[
        str | None,
        typer.Option("--retry", metavar="STATUS,…", help="Also run cells that ended so: failed,oom,timeout."),
    ] = None,
    force: Force = False,
    runs_dir: RunsDir = None,
    detach: Detach = False,
) -> None:
    """Runs the cells of a run that have no result or were cancelled."""
    from sdtui import headless

    raise typer.Exit(headless.resume(name, retry, force, runs_dir, detach))


@app.command()
def watch(name: RunName, runs_dir: RunsDir = None) -> None:
    """Follows a run until it ends; leaving does not stop it."""
    from sdtui import headless

    raise typer.Exit(headless.watch(name, runs_dir))


@app.command()
def cancel(name: RunName, force: Force = False, runs_dir: RunsDir = None) -> None:
    """Ends a run; what it has measured stays."""
    from sdtui import runs, settings
    from sdtui.supervisor import control

    folder = runs.find(settings.runs_dir(runs_dir), name)
    if not control.request_cancel(folder, force):
        raise UserError(f"run {folder.name}: is not running; 'sdtui show {folder.name}' says how it ended")
    typer.echo(f"run {folder.name}: asked to end", err=True)


@app.command("ls")
def list_(runs_dir: RunsDir = None) -> None:
    """Lists the runs, oldest first."""
    from sdtui import runs, settings
    from sdtui.report.listing import listing

    where = settings.runs_dir(runs_dir)
    found = runs.list_runs(where)
    if not found:
        typer.echo(f"{where} holds no run; start one with 'sdtui run smoke'", err=True)
    typer.echo(listing(found), nl=False)


@app.command()
def show(
    name: RunName, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False, runs_dir: RunsDir = None
) -> None:
    """Shows what a run has come to, cell by cell."""
    from sdtui import runs, settings
    from sdtui.report.show import show_json, show_text

    folder = runs.find(settings.runs_dir(runs_dir), name)
    record, state = runs.read(folder), runs.listed(folder).state
    typer.echo(show_json(record, state) if as_json else show_text(record, state), nl=False)


@app.command()
def report(
    names: Annotated[list[str], typer.Argument(metavar="RUN", help="Ids, unique prefixes, folders, or 'last'.")],
    fmt: Annotated[str, typer.Option("--format", metavar="md|html|csv|json", help="Of the report.")] = "md",
    charts: Annotated[
        bool, typer.Option("--charts", help="Draw charts as SVG and PNG beside the Markdown; HTML has them inside.")
    ] = False,
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="GPU", help="Of the docs page, to compare with, such as A100."),
    ] = None,
    price: Annotated[
        str | None,
        typer.Option("--price", metavar="P/h", help="Of the machine, such as 2.49/h; adds the cost of images."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="F", help="Write to a file; else to stdout.")
    ] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Writes one report of one or several runs."""
    from sdtui import runs, settings
    from sdtui.report.cost import parse_price
    from sdtui.report.render import render, save

    cost = parse_price(price) if price is not None else None
    records = [runs.read(runs.find(settings.runs_dir(runs_dir), name)) for name in names]
    if charts:
        from sdtui.report.charts_files import save_with_charts

        save_with_charts(records, fmt, reference, cost, output)
        return
    content = render(records, fmt, reference, cost)
    if output is None:
        typer.echo(content, nl=False)
    else:
        save(content, output)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A run: an id, a unique prefix, a folder, or 'last'.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The run to hold against it.")],
    fail_on_regression: Annotated[
        str | None,
        typer.Option("--fail-on-regression", metavar="SHARE", help="Exit 1 if a cell is slower by more, such as 3%."),
    ] = None,
    fmt: Annotated[str, typer.Option("--format", metavar="md|json", help="Of the comparison.")] = "md",
    runs_dir: RunsDir = None,
) -> None:
    """Says of each cell that two runs share: faster, slower, same or ambiguous."""
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


@app.command()
def catalog(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Shows the pipelines, modes and presets."""
    import json

    from sdtui import settings
    from sdtui.catalog.describe import catalog_json, catalog_lines
    from sdtui.catalog.load import load_catalog

    loaded = load_catalog(settings.config_dir())
    typer.echo(json.dumps(catalog_json(loaded), indent=1, ensure_ascii=False) if as_json else catalog_lines(loaded))


@app.command()
def script(
    cell: Annotated[str, typer.Argument(metavar="CELL", help="A cell's id, or pipeline.mode.b1.")],
    run_name: Annotated[str | None, typer.Option("--run", metavar="RUN", help="The run whose cell it is.")] = None,
    scale: Annotated[str, typer.Option("--scale", metavar="full|tiny", help="For a cell of no run.")] = "full",
    device: Annotated[str, typer.Option("--device", metavar="cuda:0|cpu", help="For a cell of no run.")] = "cuda:0",
    runs_dir: RunsDir = None,
) -> None:
    """Prints the bare diffusers script that does what a cell does."""
    from sdtui import settings
    from sdtui.script import script_of

    typer.echo(script_of(cell, run_name, scale, device, settings.runs_dir(runs_dir)), nl=False)


@app.command()
def doctor(runs_dir: RunsDir = None) -> None:
    """Says what works here, and the command that mends what does not."""
    from sdtui import doctor as diagnosis
    from sdtui import settings

    findings = diagnosis.diagnose_here(settings.runs_dir(runs_dir))
    typer.echo(diagnosis.render(findings), nl=False)
    raise typer.Exit(int(any(finding.level == "problem" for finding in findings)))


def main() -> None:
    """Runs the command line; a person's mistake is one line on stderr and exit status 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # data has the same bytes in every locale
    try:
        app(prog_name="sdtui")
    except UserError as error:
        _fail(str(error), 2)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror or error}", 1)


def _fail(message: str, status: int) -> NoReturn:
    typer.echo(f"sdtui: {' '.join(message.splitlines())}", err=True)
    sys.exit(status)


def _number(text: str | None) -> int | float | str | None:
    """Returns what a person wrote as a number; the plan's checks refuse what is none."""
    if text is None or re.fullmatch(r"[+-]?\d+", text):
        return None if text is None else int(text)
    try:
        return float(text)
    except ValueError:
        return text
