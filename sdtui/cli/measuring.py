"""The commands that start runs, follow them and end them."""

from __future__ import annotations

from typing import Annotated

import typer

from sdtui.cli.application import Command, Detach, OnFinish, RunName, RunsDir, app
from sdtui.model.errors import UserError

# Flags of plan keys that more than one command takes
Steps = Annotated[str | None, typer.Option("--steps", metavar="N", help="Take so many inference steps in every stage.")]
Size = Annotated[str | None, typer.Option("--size", metavar="N", help="Make images so many pixels wide and high.")]
Dtype = Annotated[str | None, typer.Option("--dtype", metavar="D", help="Compute in float16, bfloat16 or float32.")]
Scale = Annotated[
    str | None,
    typer.Option("--scale", metavar="full|tiny", help="Take full size, or a few channels, which needs no GPU."),
]
Weights = Annotated[
    str | None,
    typer.Option("--weights", metavar="W", help="Take random or published weights, a hub id's or a folder's."),
]
Device = Annotated[
    str | None, typer.Option("--device", metavar="cuda:0|cpu", help="Run on this device; cuda:GPU-… is a UUID.")
]


def _items(given: list[str] | None) -> list[str] | None:
    """Returns what a flag lists, in one text with commas or given again and again; ``None`` where it was not given."""
    return None if given is None else [item.strip() for text in given for item in text.split(",")]


@app.command(cls=Command)
def run(
    source: Annotated[
        str | None, typer.Argument(metavar="PLAN|PRESET", help="A plan file, or a preset; without one, 'docs'.")
    ] = None,
    pipelines: Annotated[
        list[str] | None, typer.Option("--pipeline", metavar="P,…", help="Measure these pipelines; may be repeated.")
    ] = None,
    modes: Annotated[
        list[str] | None, typer.Option("--mode", metavar="M,…", help="Measure them in these modes; may be repeated.")
    ] = None,
    batch_sizes: Annotated[
        list[str] | None,
        typer.Option(
            "--batch-size", metavar="N,…", help="Make so many images per call, such as 1,4,16; may be repeated."
        ),
    ] = None,
    environments: Annotated[
        list[str] | None,
        typer.Option(
            "--env", metavar="NAME,…", help="Measure in these environments, 'current' is this one; may be repeated."
        ),
    ] = None,
    slots: Annotated[
        list[str] | None,
        typer.Option("--slot", metavar="P.M.ENV.bN,…", help="Of all these measure these slots alone; may be repeated."),
    ] = None,
    calls: Annotated[
        str | None, typer.Option("--calls", metavar="N", help="Call the pipeline so often in each cell.")
    ] = None,
    steps: Steps = None,
    size: Size = None,
    guidance: Annotated[str | None, typer.Option("--guidance", metavar="G", help="Use this guidance scale.")] = None,
    dtype: Dtype = None,
    seed: Annotated[
        str | None, typer.Option("--seed", metavar="S", help="Draw weights and latents from this seed.")
    ] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", metavar="T", help="Encode this text.")] = None,
    cold: Annotated[bool | None, typer.Option("--cold", help="Empty the compile cache before each cell.")] = None,
    trace: Annotated[
        bool | None, typer.Option("--trace", help="Make one more call per cell, untimed, under torch.profiler.")
    ] = None,
    exclusive: Annotated[
        bool | None,
        typer.Option("--exclusive", help="Let each cell's process import torch itself."),
    ] = None,
    processes: Annotated[
        str | None, typer.Option("--processes", metavar="N", help="Measure each cell in so many fresh processes.")
    ] = None,
    tune: Annotated[
        bool | None,
        typer.Option("--tune", help="After each process drop the slower half of the modes; see also 'sdtui tune'."),
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
    vram_limit: Annotated[
        str | None,
        typer.Option("--vram-limit", metavar="SIZE", help="Let torch's allocator take so much VRAM, such as 15GiB."),
    ] = None,
    skip_larger_after_oom: Annotated[
        bool | None,
        typer.Option("--skip-larger-after-oom", help="Leave out larger batches of what ran out of memory."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="TIME", help="Run what fits into so long, such as 20m or 1h30m.")
    ] = None,
    scale: Scale = None,
    weights: Weights = None,
    device: Device = None,
    runs_dir: RunsDir = None,
    detach: Detach = False,
    on_finish: OnFinish = None,
) -> None:
    """Measures a plan's or a preset's cells; a flag replaces that key."""
    from sdtui import headless
    from sdtui.catalog.plans import number

    overrides = {
        "pipelines": _items(pipelines),
        "modes": _items(modes),
        "batch_sizes": _items(batch_sizes),
        "environments": _items(environments),
        "slots": _items(slots),
        "calls": number(calls),
        "steps": number(steps),
        "size": number(size),
        "guidance": number(guidance),
        "dtype": dtype,
        "seed": number(seed),
        "prompt": prompt,
        "cold": cold,
        "trace": trace,
        "exclusive": exclusive,
        "processes": number(processes),
        "tune": tune,
        "precision": precision,
        "max_calls": number(max_calls),
        "max_seconds": number(max_seconds),
        "vram_limit": vram_limit,
        "skip_larger_after_oom": skip_larger_after_oom,
        "budget": budget,
        "scale": scale,
        "weights": weights,
        "device": device,
    }
    raise typer.Exit(headless.run(source, overrides, runs_dir, detach, on_finish))


@app.command(cls=Command)
def tune(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="As 'sdtui catalog' shows it.")],
    batch_sizes: Annotated[
        list[str] | None, typer.Option("--batch-size", metavar="N", help="Make so many images per call; else 1.")
    ] = None,
    modes: Annotated[
        list[str] | None,
        typer.Option("--mode", metavar="M,…", help="Try out these modes beside no-compile; may be repeated."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="TIME", help="Run what fits into so long, such as 10m or 1h.")
    ] = None,
    processes: Annotated[
        str | None,
        typer.Option("--processes", metavar="N", help="Measure a mode in so many fresh processes at most; else 3."),
    ] = None,
    save: Annotated[
        str | None, typer.Option("--save", metavar="NAME", help="Keep the fastest mode under this name.")
    ] = None,
    environments: Annotated[
        list[str] | None, typer.Option("--env", metavar="NAME", help="Measure in this environment; else in 'current'.")
    ] = None,
    calls: Annotated[
        str | None, typer.Option("--calls", metavar="N", help="Call the pipeline so often in each process.")
    ] = None,
    steps: Steps = None,
    size: Size = None,
    dtype: Dtype = None,
    scale: Scale = None,
    weights: Weights = None,
    device: Device = None,
    runs_dir: RunsDir = None,
    detach: Detach = False,
    on_finish: OnFinish = None,
) -> None:
    """Finds the fastest mode for a pipeline, and prints it as TOML."""
    from sdtui import headless
    from sdtui.catalog.plans import number

    overrides = {
        "modes": _items(modes),
        "batch_sizes": _items(batch_sizes) or ["1"],
        "environments": _items(environments),
        "budget": budget,
        "processes": number(processes),
        "calls": number(calls),
        "steps": number(steps),
        "size": number(size),
        "dtype": dtype,
        "scale": scale,
        "weights": weights,
        "device": device,
    }
    raise typer.Exit(headless.tune(pipeline, overrides, runs_dir, detach, on_finish, save))


@app.command(cls=Command)
def resume(
    name: RunName,
    retry: Annotated[
        list[str] | None,
        typer.Option(
            "--retry", metavar="STATUS,…", help="Run cells again that ended so, such as failed,oom; may be repeated."
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Resume on another GPU or torch, or where another host seems to run it."),
    ] = False,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="TIME|none", help="Have this budget instead of the plan's.")
    ] = None,
    runs_dir: RunsDir = None,
    detach: Detach = False,
    on_finish: OnFinish = None,
) -> None:
    """Runs the cells of a run that have no result or were cancelled."""
    from sdtui import headless

    raise typer.Exit(
        headless.resume(name, None if retry is None else ",".join(retry), force, runs_dir, detach, on_finish, budget)
    )


@app.command(cls=Command)
def watch(name: RunName, runs_dir: RunsDir = None) -> None:
    """Follows a run until it ends; leaving does not stop it."""
    from sdtui import headless

    raise typer.Exit(headless.watch(name, runs_dir))


@app.command(cls=Command)
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
