"""The bare diffusers script of a cell: what sdtui measures, without sdtui."""

from __future__ import annotations

import pprint
import re
from collections.abc import Iterable
from pathlib import Path

from sdtui import mode_calls
from sdtui.mode_calls import OptionCalls
from sdtui.model.cell import Cell, Component, Input, Stage

_WORKER = Path(__file__).parent / "worker"
_IMPORT = re.compile(r"(?:from|import) [^\n(]+(?:\([^)]*\))?")
_IMPORTS = re.compile(rf"(?:(?:{_IMPORT.pattern})?\n)*")
"""The import statements with which a module of the worker begins, after its docstring."""


def write(cell: Cell, device: str) -> str:
    """Returns the script of a cell.

    Args:
        cell: Resolved, with its components' configs.
        device: To run on; a GPU named by its UUID is ``cuda:0`` to a script that sees it alone, as the worker does.
    """
    if device.startswith(("cuda:GPU-", "cuda:MIG-")):
        device = "cuda:0"
    random = any(stage.weights is None for stage in cell.stages)
    needs = _Needs(cell, random, device)
    lines = [
        f'"""{cell.id}',
        "",
        "What sdtui measures there, as a bare diffusers script. The bar prints the it/s.",
        '"""',
        "",
        *needs.imports,
        "",
        f'DEVICE = "{device}"',
        f"DTYPE = torch.{cell.dtype}",
        f"SEED = {cell.seed}",
        *needs.definitions,
        "",
        *(["torch.cuda.set_device(DEVICE)"] if device.startswith("cuda:") and device != "cuda:0" else []),
        *_globals(cell),
        *_limit(cell),
    ]
    for stage in cell.stages:
        lines += ["", *_stage(cell, stage)]
    lines += ["", *_calls(cell)]
    return "\n".join(lines) + "\n"


class _Needs:
    """Imports and definitions of a script: parts of the worker that stand on torch and diffusers alone, verbatim."""

    def __init__(self, cell: Cell, random: bool, device: str) -> None:
        sources = {made.source for stage in cell.stages for made in stage.inputs.values()}
        taken = [*mode_calls.of_process(cell.mode), *(c for stage in cell.stages for c in _taken(cell, stage))]
        modules = []
        if random:
            modules.append("random_weights")
            if any(c.class_name == "CLIPTokenizer" for stage in cell.stages for c in stage.components):
                modules.append("tokenizer")
        if sources - {"stage"}:
            modules.append("inputs")
        modules += dict.fromkeys(module for calls in taken for module in calls.modules)
        imports = {"import diffusers", "import torch"}
        if any(c.library == "transformers" for stage in cell.stages for c in stage.components):
            imports.add("import transformers")
        imports |= {line for calls in taken for line in calls.imports}
        self.definitions: list[str] = []
        for module in modules:
            found, code = _parts(_WORKER / f"{module}.py")
            imports |= found
            self.definitions += ["", "", code]
        future = "from __future__ import annotations"
        self.imports = [future, "", *_joined(imports - {future})]
        if device == "cpu":  # as the worker has it, and before torch reads it
            self.imports[1:1] = ["", "import os", "", 'os.environ.setdefault("OMP_WAIT_POLICY", "passive")']


def _parts(path: Path) -> tuple[set[str], str]:
    """Splits a module's source into its import statements and the rest, without its docstring and imports of sdtui.

    Without `ast`, which fails where two threads use it at once (CPython 3.11), as the dashboard's would.
    """
    _, _, code = path.read_text(encoding="utf-8").partition('"""\n\n')
    begin = _IMPORTS.match(code)
    assert begin is not None
    imports = {each for each in _IMPORT.findall(begin.group()) if not each.startswith("from sdtui")}
    return imports, code[begin.end() :].strip()


def _joined(imports: Iterable[str]) -> list[str]:
    """Sorts import statements, those from one module joined."""
    names: dict[str, set[str]] = {}
    for line in imports:
        what, _, imported = line.partition(" import ")
        names.setdefault(what, set()).update(name.strip() for name in imported.strip("()").split(",") if name.strip())
    joined = (f"{what} import {', '.join(sorted(found))}" if found else what for what, found in names.items())
    return sorted(joined, key=lambda line: (line.split()[1], line))


def _taken(cell: Cell, stage: Stage) -> list[OptionCalls]:
    return [calls for calls in mode_calls.of_stage(cell.mode, stage, _pipe(stage)) if not calls.left_out]


def _globals(cell: Cell) -> list[str]:
    return [line for calls in mode_calls.of_process(cell.mode) for line in calls.code]


def _limit(cell: Cell) -> list[str]:
    if cell.vram_limit_bytes is None:
        return []
    return [
        "TOTAL = torch.cuda.get_device_properties(DEVICE).total_memory",
        f"torch.cuda.set_per_process_memory_fraction(min(1.0, {cell.vram_limit_bytes} / TOTAL), DEVICE)",
    ]


def _stage(cell: Cell, stage: Stage) -> list[str]:
    pipe = _pipe(stage)
    return [*(_loaded(stage, pipe) if stage.weights else _made(stage, pipe)), *_options(cell, stage, pipe)]


def _made(stage: Stage, pipe: str) -> list[str]:
    lines = [f"{pipe} = diffusers.{stage.pipeline_class}("]
    lines += [f"    {component.name}={_component(component)}," for component in stage.components]
    lines += [f"    {name}={value!r}," for name, value in stage.constructor.items()]
    return [*lines, ")"]


def _component(component: Component) -> str:
    if component.class_name == "CLIPTokenizer":
        return f"byte_tokenizer({component.config['model_max_length']})"
    cls = f"{component.library}.{component.class_name}"
    config = pprint.pformat(dict(component.config), width=110, compact=True, sort_dicts=False)
    indented = config.replace("\n", "\n        ")
    if component.class_name.endswith("Scheduler"):
        return f"{cls}.from_config(\n        {indented}\n    )"
    return (
        f'random_module(\n        {cls},\n        {indented},\n        "{component.name}", SEED, DEVICE, DTYPE,\n    )'
    )


def _loaded(stage: Stage, pipe: str) -> list[str]:
    lines = [f"{pipe} = diffusers.{stage.pipeline_class}.from_pretrained(", f"    {stage.weights!r},"]
    lines += ["    torch_dtype=DTYPE,", "    use_safetensors=True,"]
    if stage.variant:
        lines.append(f"    variant={stage.variant!r},")
    for component in stage.components:
        if component.weights and not (Path(stage.weights or "") / component.name).is_dir():
            cls = f"{component.library}.{component.class_name}"
            lines.append(
                f"    {component.name}={cls}.from_pretrained("
                f"{component.weights!r}, torch_dtype=DTYPE, use_safetensors=True),"
            )
    lines += [f"    {name}={value!r}," for name, value in stage.constructor.items()]
    return [*lines, ").to(DEVICE)"]


def _options(cell: Cell, stage: Stage, pipe: str) -> list[str]:
    lines: list[str] = []
    for calls in mode_calls.of_stage(cell.mode, stage, pipe):
        lines += [f"# {calls.option} is left out: {calls.refusal}"] if calls.left_out else calls.code
    return lines


def _calls(cell: Cell) -> list[str]:
    lines = []
    for stage in cell.stages:
        for name, made in stage.inputs.items():
            if made.source != "stage":
                lines.append(f"{_input(stage, name)} = {_made_input(cell, stage, name, made)}")
    lines.append(f"for _ in range({cell.calls}):")
    for stage in cell.stages:
        lines += [f"    {line}" for line in _call(cell, stage)]
    return lines


def _call(cell: Cell, stage: Stage) -> list[str]:
    prompts = _prompts(cell, stage)
    lines = [f"{_images(stage)} = {_pipe(stage)}("]
    if stage.takes_prompt:
        lines.append(f"    prompt={[cell.prompt] * prompts if prompts > 1 else cell.prompt!r},")
    for name, made in stage.inputs.items():
        value = _images_of(made.stage) if made.source == "stage" else _input(stage, name)
        lines.append(f"    {name}={value},")
    if stage.takes_size:
        lines += [f"    width={stage.width},", f"    height={stage.height},"]
    lines += [f"    {name}={value!r}," for name, value in stage.arguments.items()]
    return [
        *lines,
        f"    num_inference_steps={stage.steps},",
        f"    guidance_scale={stage.guidance},",
        f"    num_images_per_prompt={1 if prompts > 1 else cell.slot.batch_size},",
        "    generator=torch.Generator(DEVICE).manual_seed(SEED),",
        ").images",
    ]


def _prompts(cell: Cell, stage: Stage) -> int:
    return cell.slot.batch_size if any(made.source == "stage" for made in stage.inputs.values()) else 1


def _made_input(cell: Cell, stage: Stage, name: str, made: Input) -> str:
    if made.source == "embeddings":
        prompts = _prompts(cell, stage)
        repeat = f".repeat_interleave({prompts}, 0)" if prompts > 1 else ""
        return f'embeddings("{name}", {tuple(made.shape)}, SEED, DTYPE, DEVICE){repeat}'
    function = {"image": "picture", "mask": "mask", "edges": "edges"}[made.source]
    return f"{function}({made.width}, {made.height})"


def _pipe(stage: Stage) -> str:
    return "pipe" if stage.name == "main" else f"pipe_{stage.name}"


def _images(stage: Stage) -> str:
    return _images_of(stage.name)


def _images_of(stage: str) -> str:
    return "images" if stage == "main" else f"images_{stage}"


def _input(stage: Stage, name: str) -> str:
    return name + ("_input" if stage.name == "main" else f"_{stage.name}")
