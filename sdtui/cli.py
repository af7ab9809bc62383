"""The command line: each command parses its arguments and calls one function elsewhere."""

from __future__ import annotations

import io
import re
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from sdtui.model.errors import UserError, near
from sdtui.version import VERSION

UsageError: Any = typer.BadParameter.__base__  # click's, or that of the copy which later releases of typer hold


class _Command(TyperCommand):
    """A command whose help names its arguments as people write them: not ``{RUN}``, nor ``RUN <str>``."""

    def get_help(self, ctx: Any) -> str:
        for parameter in self.params:
            if parameter.param_type_name == "argument":
                vars(parameter)["display_type_rich"] = lambda ctx: None  # noqa: ARG005, called by name
        return re.sub(r"\{([A-Z]+)\}", r"\1", super().get_help(ctx))


def _path_of(flag: str) -> Callable[[str], Path]:
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
        parser=_path_of("--runs-dir"),
        help="Where runs live; else SDTUI_RUNS_DIR says it, else they are in the data directory.",
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
        _need_terminal()
        from sdtui.tui.opening import open_dashboard

        raise typer.Exit(open_dashboard(runs_dir, not no_mouse))


@app.command(cls=_Command)
def run(
    source: Annotated[
        str | None, typer.Argument(metavar="PLAN|PRESET", help="A plan file, or a preset; without one, 'docs'.")
    ] = None,
    pipelines: Annotated[
        list[str] | None, typer.Option("--pipeline", metavar="P", help="Measure this pipeline; may be repeated.")
    ] = None,
    modes: Annotated[
        list[str] | None, typer.Option("--mode", metavar="M", help="Measure it in this mode; may be repeated.")
    ] = None,
    batch_sizes: Annotated[
        str | None, typer.Option("--batch-size", metavar="N,…", help="Make so many images per call, such as 1,4,16.")
    ] = None,
    environments: Annotated[
        str | None,
        typer.Option("--env", metavar="NAME,…", help="Measure in these environments; 'current' is this one."),
    ] = None,
    slots: Annotated[
        list[str] | None,
        typer.Option("--slot", metavar="P.M.ENV.bN", help="Of all these measure this slot alone; may be repeated."),
    ] = None,
    calls: Annotated[
        str | None, typer.Option("--calls", metavar="N", help="Call the pipeline so often in each cell.")
    ] = None,
    steps: Annotated[
        str | None, typer.Option("--steps", metavar="N", help="Take so many inference steps in every stage.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="N", help="Make images so many pixels wide and high.")
    ] = None,
    guidance: Annotated[str | None, typer.Option("--guidance", metavar="G", help="Use this guidance scale.")] = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", metavar="D", help="Compute in float16, bfloat16 or float32.")
    ] = None,
    seed: Annotated[
        str | None, typer.Option("--seed", metavar="S", help="Draw weights and latents from this seed.")
    ] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", metavar="T", help="Encode this text.")] = None,
    cold: Annotated[bool | None, typer.Option("--cold", help="Empty the compile cache before each cell.")] = None,
    trace: Annotated[
        bool | None, typer.Option("--trace", help="Make one more call per cell, untimed, under torch.profiler.")
    ] = None,
    processes: Annotated[
        str | None, typer.Option("--processes", metavar="N", help="Measure each cell in so many fresh processes.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision", metavar="SHARE", help="Call on until the median step is known so well, such as 1%."
        ),
    ] = None,
    max_calls: Annotated[
        str | None, typer.Option("--max-calls", metavar="N", help="Call at most so often for it; else max(50, calls).")
    ] = None,
    max_seconds: Annotated[
        str | None,
        typer.Option("--max-seconds", metavar="S", help="Measure at most so long per process; else 120 s."),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option("--scale", metavar="full|tiny", help="Take full size, or a few channels, which needs no GPU."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", metavar="W", help="Take random or published weights, a hub id's or a folder's."),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="cuda:0|cpu", help="Run on this device; cuda:GPU-… is a UUID.")
    ] = None,
    runs_dir: RunsDir = None,
    detach: Detach = False,
    on_finish: OnFinish = None,
) -> None:
    """Measures a plan's or a preset's cells; a flag replaces that key."""
    from sdtui import headless
    from sdtui.catalog.plans import number

    overrides = {
        "pipelines": pipelines,
        "modes": modes,
        "batch_sizes": batch_sizes,
        "environments": environments.split(",") if environments is not None else None,
        "slots": slots,
        "calls": number(calls),
        "steps": number(steps),
        "size": number(size),
        "guidance": number(guidance),
        "dtype": dtype,
        "seed": number(seed),
        "prompt": prompt,
        "cold": cold,
        "trace": trace,
        "processes": number(processes),
        "precision": precision,
        "max_calls": number(max_calls),
        "max_seconds": number(max_seconds),
        "scale": scale,
        "weights": weights,
        "device": device,
    }
    raise typer.Exit(headless.run(source, overrides, runs_dir, detach, on_finish))


@app.command(cls=_Command)
def resume(
    name: RunName,
    retry: Annotated[
        str | None,
        typer.Option("--retry", metavar="STATUS,…", help="Run cells again that ended so, such as failed,oom,timeout."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Resume on another GPU or torch, or where another host seems to run it."),
    ] = False,
    runs_dir: RunsDir = None,
    detach: Detach = False,
    on_finish: OnFinish = None,
) -> None:
    """Runs the cells of a run that have no result or were cancelled."""
    from sdtui import headless

    raise typer.Exit(headless.resume(name, retry, force, runs_dir, detach, on_finish))


@app.command(cls=_Command)
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
    _need_terminal()
    from sdtui.tui import opening

    raise typer.Exit(opening.attach(name, runs_dir, not no_mouse))


@app.command(cls=_Command)
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
    _need_terminal()
    from sdtui.tui import opening

    raise typer.Exit(opening.replay(name, times, runs_dir, not no_mouse))


@app.command(cls=_Command)
def watch(name: RunName, runs_dir: RunsDir = None) -> None:
    """Follows a run until it ends; leaving does not stop it."""
    from sdtui import headless

    raise typer.Exit(headless.watch(name, runs_dir))


@app.command(cls=_Command)
def cancel(
    name: RunName,
    force: Annotated[
        bool, typer.Option("--force", help="Ask also where the run seems to run on another host.")
    ] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Ends a run; what it has measured stays."""
    from sdtui import runs, settings
    from sdtui.supervisor import control

    folder = runs.find(settings.runs_dir(runs_dir), name)
    if not control.request_cancel(folder, force):
        raise UserError(f"run {folder.name}: is not running; 'sdtui show {runs.short(folder)}' says how it ended")
    typer.echo(f"run {folder.name}: asked to end", err=True)


@app.command("ls", cls=_Command)
def list_(runs_dir: RunsDir = None) -> None:
    """Lists the runs, oldest first."""
    from sdtui import runs, settings
    from sdtui.report.listing import listing

    where = settings.runs_dir(runs_dir)
    found = runs.list_runs(where)
    if not found:
        typer.echo(f"{where} holds no run; start one with 'sdtui run smoke'", err=True)
    typer.echo(listing(found, _width(sys.stdout)), nl=False)


@app.command("rm", cls=_Command)
def remove(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN", help="Ids or their last six characters, folders, or 'last'.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Deletes runs; asks first."""
    from sdtui import runs, settings
    from sdtui.report.listing import listing

    where = settings.runs_dir(runs_dir)
    folders = list(dict.fromkeys(runs.find(where, name) for name in names))
    for folder in folders:
        runs.check_deletable(folder)
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("rm: asks before it deletes, and there is no terminal to ask on; add --yes")
        typer.echo(listing([runs.listed(folder) for folder in folders]), err=True, nl=False)
        which = "this run" if len(folders) == 1 else f"these {len(folders)} runs"
        if not typer.confirm(f"delete {which}?", err=True):
            raise typer.Exit(1)
    for folder in folders:
        runs.delete(folder)
        typer.echo(f"run {folder.name}: deleted", err=True)


@app.command(cls=_Command)
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


@app.command(cls=_Command)
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
        typer.Option("-o", "--output", metavar="F", parser=_path_of("-o"), help="Write to a file; else to stdout."),
    ] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Writes one report of one or several runs."""
    from sdtui import runs, settings
    from sdtui.report.cost import parse_price
    from sdtui.report.render import format_of, render, save, uncompared

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


@app.command(cls=_Command)
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


@app.command(cls=_Command)
def catalog(as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False) -> None:
    """Shows the pipelines, modes and presets."""
    import json

    from sdtui import settings
    from sdtui.catalog.describe import catalog_json, catalog_lines
    from sdtui.catalog.load import load_catalog

    loaded = load_catalog(settings.config_dir())
    typer.echo(json.dumps(catalog_json(loaded), indent=1, ensure_ascii=False) if as_json else catalog_lines(loaded))


@app.command(cls=_Command)
def script(
    cell: Annotated[str, typer.Argument(metavar="CELL", help="A cell's id, or pipeline.mode.b1.")],
    run_name: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Take the cell from this run.")] = None,
    scale: Annotated[str, typer.Option("--scale", metavar="full|tiny", help="Say it for a cell of no run.")] = "full",
    device: Annotated[
        str, typer.Option("--device", metavar="cuda:0|cpu", help="Say it for a cell of no run.")
    ] = "cuda:0",
    runs_dir: RunsDir = None,
) -> None:
    """Prints the bare diffusers script that does what a cell does."""
    from sdtui import settings
    from sdtui.script import script_of

    typer.echo(script_of(cell, run_name, scale, device, settings.runs_dir(runs_dir)), nl=False)


@app.command(cls=_Command)
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
    failures = diagnosis.probe_here(device, environment, _narrate) if probe else []
    findings = diagnosis.diagnose_here(runs_dir) + failures
    typer.echo(diagnosis.render(findings, _width(sys.stdout)), nl=False)
    raise typer.Exit(int(any(finding.level == "problem" for finding in findings)))


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
    line, width = f"sdtui: {' '.join(message.splitlines())}", _width(sys.stderr)
    if width:
        line = textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    typer.echo(line, err=True)
    sys.exit(status)


def _need_terminal() -> None:
    """Refuses to draw where nobody would see it, or where nobody could type."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        raise UserError("the dashboard needs a terminal; without one, 'sdtui run' measures and 'sdtui watch' follows")


def _narrate(line: str) -> None:
    typer.echo(line, err=True)


def _width(stream: Any) -> int | None:
    """Returns the columns of a terminal; ``None`` of what is none, where a line stays whole."""
    return shutil.get_terminal_size().columns if stream.isatty() else None
