"""What a mode does to a pipeline, in words and calls, for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from sdtui import mode_calls
from sdtui.catalog.expand import expand
from sdtui.catalog.load import Catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.catalog.toml_files import write_toml
from sdtui.mode_calls import OptionCalls
from sdtui.model.cell import Cell, Mode
from sdtui.model.errors import UserError, nearest

_WIDTH = 100


def explain(mode: str, pipeline: str | None, catalog: Catalog) -> str:
    """Returns what a mode does, option by option in the order in which they are applied; no newline at the end.

    Args:
        mode: Its name.
        pipeline: The one that it is applied to; ``None`` takes all of the catalog together.
        catalog: That both are of.

    Raises:
        UserError: There is no such mode or pipeline.
    """
    if mode not in catalog.modes:
        raise UserError(f"MODE: unknown name '{mode}'; {nearest(mode, catalog.modes)}")
    if pipeline is not None and pipeline not in catalog.pipelines:
        raise UserError(f"--pipeline: unknown name '{pipeline}'; {nearest(pipeline, catalog.pipelines)}")
    chosen = catalog.modes[mode]
    pipelines = [pipeline] if pipeline else list(catalog.pipelines)
    keys = {"pipelines": pipelines, "modes": [mode], "environments": ["current"], "batch_sizes": [1]}
    cells = expand(resolve_plan(catalog, None, keys, gpu_available=True), catalog)
    applied = _applied(chosen, cells)
    title = f"{mode}: {chosen.description or chosen.label}"
    if not applied:
        return f"{title}\n\nIt changes nothing: diffusers as it comes, in the plan's dtype."
    to = f" to {pipeline}" if pipeline else ""
    lines = [*textwrap.wrap(title, _WIDTH), "", f"Applied{to} in this order:"]
    for option, uses in applied.items():
        lines += ["", *_option(chosen, option, uses)]
    taken = [(place, use) for uses in applied.values() for (place, _), use in uses.items() if not use.refusal]
    marked = [place or pipelines[0] for place, use in taken if use.modules]
    if marked:
        lines += ["", f"* 'sdtui script {marked[0].split()[0]}.{mode}' prints the definitions."]
    return "\n".join(lines)


Uses = dict[tuple[str, str], OptionCalls]
"""How an option is applied, by place (such as ``if stage II``) and first line of code."""


def _applied(mode: Mode, cells: Iterable[Cell]) -> dict[str, Uses]:
    """Returns the uses of every option, in the order in which options are applied."""
    applied: dict[str, Uses] = {}
    for calls in (*mode_calls.of_process(mode), *_dtype(mode)):
        applied[calls.option] = {("", ""): calls}
    for cell in cells:
        for stage in cell.stages:
            place = cell.slot.pipeline if stage.name == "main" else f"{cell.slot.pipeline} stage {stage.name}"
            for calls in mode_calls.of_stage(mode, stage, "pipe"):
                applied.setdefault(calls.option, {})[place, calls.code[0]] = calls
    return applied


def _dtype(mode: Mode) -> Iterator[OptionCalls]:
    if mode.dtype is not None:
        words = "weights, latents and all that is computed, whatever the plan's dtype"
        yield OptionCalls("dtype", words, (f"torch_dtype=torch.{mode.dtype}",))


def _option(mode: Mode, option: str, uses: Uses) -> Iterator[str]:
    first = next(iter(uses.values()))
    yield "  " + _heading(mode, option) + (", optional" if first.optional else "")
    words = first.words + ("; needs a GPU" if first.needs_gpu else "")
    yield from textwrap.wrap(words, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    taken = [use for use in uses.values() if not use.refusal]
    for line in dict.fromkeys(line + ("  *" if use.modules else "") for use in taken for line in use.code):
        yield f"      {line}"
    ending = "left out" if first.optional else "the cell ends as unsupported"
    reasons: dict[str, list[str]] = {}
    for (place, _), use in uses.items():
        if use.refusal:
            reasons.setdefault(use.refusal, []).append(place)
    for reason, places in reasons.items():
        text = f"{ending} in {', '.join(dict.fromkeys(places))}: {reason}"
        yield from textwrap.wrap(text, _WIDTH, initial_indent="    ", subsequent_indent="    ")


def _heading(mode: Mode, option: str) -> str:
    """Returns a key with its value, or the name of what is no key of one value."""
    value = getattr(mode, option, None)
    return write_toml({option: value}).strip() if isinstance(value, (bool, str, tuple)) else option
